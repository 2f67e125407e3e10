import assert from "node:assert/strict";
import { test } from "node:test";
import { inference } from "@spillway/protocol";
import type { Call, GrpcChannel, UnaryHandler } from "@spillway/grpc";
import { isFailure } from "../core/errors.ts";
import type { BoundTensors } from "../core/request.ts";
import type { Tensor } from "../core/tensor.ts";
import { Host } from "./host.ts";
import type { InstanceAnswer, InstanceFailure } from "./model-instance.ts";
import { createPredictInstance, encodePredictRequest } from "./predict-instance.ts";

/** Views that begin at odd places, as those of a larger message do. */
function shifted(bytes: Uint8Array): Uint8Array {
  const larger = new Uint8Array(bytes.length + 3);
  larger.set(bytes, 3);
  return larger.subarray(3);
}

const features: Tensor = {
  name: "features",
  datatype: "FP32",
  shape: [1, 2],
  data: shifted(new Uint8Array(Float32Array.of(0.5, -2).buffer)),
};
const text = new TextEncoder().encode("très bien");
const prompt: Tensor = {
  name: "prompt",
  datatype: "BYTES",
  shape: [1],
  data: shifted(Uint8Array.of(text.length, 0, 0, 0, ...text)),
};

function bound(inputs: readonly Tensor[], outputs?: readonly string[]): BoundTensors {
  return { inputs, outputs, rows: 1, bytes: 0, shapeKey: "" };
}

test("features or a prompt become a request; both or neither are refused", () => {
  const read = (inputs: readonly Tensor[]) => {
    const message = encodePredictRequest("m", [bound(inputs)]);
    return isFailure(message) ? message.code : inference.PredictRequest.decode(message);
  };
  const given = (fields: object) => Object.assign(inference.PredictRequest.decode(new Uint8Array()), fields);
  assert.deepEqual(read([features]), given({ features: [0.5, -2], modelName: "m" }));
  assert.deepEqual(read([prompt]), given({ prompt: "très bien", modelName: "m" }));
  assert.equal(read([]), "invalid_tensor");
  assert.equal(read([features, prompt]), "invalid_tensor");
});

/** What an instance makes of a server's answer. */
function deliver(answer: Uint8Array, outputs?: readonly string[]): Promise<InstanceAnswer | InstanceFailure> {
  const channel: GrpcChannel = {
    state: "ready",
    unary(_request, handler: UnaryHandler): Call {
      queueMicrotask(() => handler.done(answer, []));
      return { cancel() {}, taken: false };
    },
    connect: (done) => done(),
    onState() {},
    close() {},
  };
  const host = new Host("server", () => {});
  const instance = createPredictInstance({ id: "m", host, channel, model: "m" });
  return new Promise((resolve) =>
    instance.infer(
      { requests: [bound([features], outputs)], rows: 1 },
      { answered: resolve, failed: resolve },
    ),
  );
}

test("a class and its confidence become two tensors, of which the wanted are given", async () => {
  const answer = inference.PredictResponse.encode({ classId: -1, confidence: 0.25 }).finish();
  const all = await deliver(answer);
  assert.ok("outputs" in all);
  assert.deepEqual(
    all.outputs[0]?.map(({ name, data }) => [name, Buffer.from(data).toString("hex")]),
    [
      ["class_id", "ffffffff"],
      ["confidence", "0000803e"],
    ],
  );
  const one = await deliver(answer, ["confidence"]);
  assert.ok("outputs" in one);
  assert.deepEqual(
    one.outputs[0]?.map((output) => output.name),
    ["confidence"],
  );
});

test("an error inside the answer, and an answer that cannot be read, are failures of a living server", async () => {
  const failed = await deliver(inference.PredictResponse.encode({ error: "no such model" }).finish());
  assert.deepEqual(failed, { kind: "refused", failure: { code: "model_failed", message: "no such model" } });
  const broken = await deliver(Uint8Array.of(0x0d, 1));
  assert.ok("kind" in broken);
  assert.equal(broken.kind, "refused");
  assert.equal(broken.failure.code, "bad_upstream_answer");
});

test("a request that cannot be sent is refused later, and not at all once it was called off", async () => {
  const channel = { unary: () => assert.fail("nothing is sent") } as unknown as GrpcChannel;
  const instance = createPredictInstance({
    id: "m",
    host: new Host("server", () => {}),
    channel,
    model: "m",
  });
  const outcomes: string[] = [];
  const ask = (): { cancel(): void } =>
    instance.infer(
      { requests: [bound([])], rows: 1 },
      { answered: () => assert.fail(), failed: (reason) => outcomes.push(reason.failure.code) },
    );
  ask();
  ask().cancel();
  assert.deepEqual(outcomes, []);
  await Promise.resolve();
  assert.deepEqual(outcomes, ["invalid_tensor"]);
});
