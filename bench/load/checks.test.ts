import assert from "node:assert/strict";
import { test } from "node:test";
import { buildBodies } from "./bodies.ts";
import type { TensorBodySpec } from "./bodies.ts";
import { equalsBody, returnsTensor } from "./checks.ts";

const SPEC: TensorBodySpec = { kind: "v2-binary", input: "x", shape: [1, 4], seed: 1, variants: 2 };

/** The answer of an identity model to variant `of` of the request, with the size it claims. */
function answer(of: number, size = 16): Buffer {
  const sent = buildBodies(SPEC)[of]?.bytes ?? Buffer.alloc(0);
  const header = { outputs: [{ name: "y", parameters: { binary_data_size: size } }] };
  return Buffer.concat([Buffer.from(JSON.stringify(header)), sent.subarray(-16)]);
}

test("a body is compared with the text whole", () => {
  const check = equalsBody({ text: "ok" });
  assert.equal(check({ request: 0, status: 200, body: Buffer.from("ok") }), true);
  assert.equal(check({ request: 0, status: 200, body: Buffer.from("ok ") }), false);
});

test("a returned tensor is the one that this request sent, and its size is said", () => {
  const check = returnsTensor(SPEC);
  const judge = (request: number, body: Buffer): boolean => check({ request, status: 200, body });
  assert.equal(judge(0, answer(0)), true);
  assert.equal(judge(1, answer(1)), true);
  assert.equal(judge(1, answer(0)), false);
  assert.equal(judge(0, answer(0, 12)), false);
  assert.equal(judge(0, answer(0).subarray(-16)), false);
  assert.equal(judge(0, Buffer.from('{"error":"no"}')), false);
  const changed = answer(0);
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  assert.equal(judge(0, changed), false);
});
