/**
 * What the v2 JSON dialect costs a request of 64 floats answered with 10: reading, binding and
 * writing, in microseconds, beside a bare JSON.parse and JSON.stringify of the same texts.
 * Run: `node scripts/run.mjs bench/micro/kserve-json.ts`.
 */
import { systemClock } from "../../packages/gateway/src/core/clock.ts";
import { isFailure } from "../../packages/gateway/src/core/errors.ts";
import type { ServedModel } from "../../packages/gateway/src/core/model.ts";
import { JsonThreads } from "../../packages/gateway/src/dialects/json/json-threads.ts";
import { createInferPayload } from "../../packages/gateway/src/dialects/kserve/infer-payload.ts";
import { readInferBody } from "../../packages/gateway/src/dialects/kserve/read-infer.ts";

const model: ServedModel = {
  name: "mlp64",
  version: "1",
  platform: "onnx",
  inputs: [{ name: "x", datatype: "FP32", shape: [-1, 64] }],
  outputs: [{ name: "y", datatype: "FP32", shape: [-1, 10] }],
  task: undefined,
  mapping: { features: "x", prompt: undefined, image: undefined },
  batchable: true,
  maxBatch: 64,
  mock: false,
};

const threads = new JsonThreads({ clock: systemClock });
const values = Array.from({ length: 64 }, (_, i) => Math.fround(Math.sin(i + 1)));
const request = { id: "42", inputs: [{ name: "x", shape: [1, 64], datatype: "FP32", data: values }] };
const body = Buffer.from(JSON.stringify(request));
// A few different answers, at an odd offset, as they come out of a gRPC message.
const answers = Array.from({ length: 256 }, (_, n) => {
  const floats = Float32Array.from({ length: 10 }, (_unused, i) => Math.abs(Math.sin(n * 10 + i)) / 5);
  const message = new Uint8Array(floats.byteLength + 7);
  message.set(new Uint8Array(floats.buffer), 7);
  return [{ name: "y", datatype: "FP32", shape: [1, 10], data: message.subarray(7) }] as const;
});
const timing = { queueMs: 0.1234, computeMs: 0.456, batchRows: 8, instance: "mlp64-0" };

function once(n: number): number {
  const read = readInferBody({ body, jsonLength: body.length }, threads.limits);
  if (isFailure(read)) throw new Error(read.message);
  const payload = createInferPayload(read, threads);
  const bound = payload.bind(model);
  if (isFailure(bound)) throw new Error(bound.message);
  const wire = payload.write({ model, outputs: answers[n & 255] ?? [], timing });
  if (wire instanceof Promise || isFailure(wire)) throw new Error("no answer at once");
  return bound.rows + (wire.body[0]?.length ?? 0);
}

function bare(n: number): number {
  const read = JSON.parse(body.toString("utf8")) as typeof request;
  const floats = Array.from(
    new Float32Array((answers[n & 255]?.[0].data ?? new Uint8Array()).slice().buffer),
  );
  return Buffer.from(
    JSON.stringify({ model_name: "mlp64", id: read.id, outputs: [{ name: "y", data: floats }] }),
  ).length;
}

/** The median of several runs, µs a call. */
function measure(call: (n: number) => number): number {
  const runs: number[] = [];
  let sum = 0;
  for (let run = 0; run < 9; run++) {
    const start = systemClock.now();
    for (let n = 0; n < 20_000; n++) sum += call(n);
    runs.push(((systemClock.now() - start) * 1000) / 20_000);
  }
  if (sum === 0) throw new Error("nothing was done");
  return runs.toSorted((a, b) => a - b)[4] ?? Number.NaN;
}

console.log(`body ${body.length} bytes`);
for (const [name, call] of [
  ["read + bind + write", once],
  ["bare parse + stringify", bare],
] as const)
  console.log(`${name.padEnd(24)} ${measure(call).toFixed(2)} µs`);
threads.close();
