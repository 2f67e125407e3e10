/** The mock does what it is told and nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeBytesElements } from "@spillway/protocol/tensors";
import type { MockConfig } from "../repository/model-config.ts";
import { defaultModelConfig } from "../repository/model-config.ts";
import { floatTensor, floatValues } from "../tensor.ts";
import { createMockEngine } from "./mock.ts";

/** A mock whose time is counted instead of spent, and that only notes its crashes. */
function createMock(config: Partial<MockConfig>, input = {}) {
  const seen = { sleptMs: 0, nowMs: 0, crashes: 0 };
  const clock = {
    now: () => (seen.nowMs += 0.5),
    sleep: (delayMs: number) => {
      seen.sleptMs += delayMs;
      return Promise.resolve();
    },
  };
  const crash = () => void seen.crashes++;
  const engine = createMockEngine({ ...defaultModelConfig().mock, ...config }, input, { clock, crash });
  return { engine, seen };
}

const rows = (count: number, width = 3) => [
  floatTensor("features", [count, width], new Float32Array(count * width)),
];

test("scores are of the classes and confidence asked, and repeat with the seed", async () => {
  const config = { classes: 4, confidence: [0.85, 0.99] as [number, number], seed: 7 };
  const [first] = await createMock(config).engine.infer(rows(100));
  const [again] = await createMock(config).engine.infer(rows(100));
  assert.deepEqual(first?.shape, [100, 4]);
  assert.deepEqual(first.data, again?.data);
  const values = floatValues(first.data);
  const chosen = new Set<number>();
  for (let row = 0; row < 100; row++) {
    const scores = values.subarray(row * 4, row * 4 + 4);
    const best = Math.max(...scores);
    chosen.add(scores.indexOf(best));
    assert.ok(best >= 0.85 - 1e-6 && best <= 0.99 + 1e-6);
    assert.ok(Math.abs(scores.reduce((a, b) => a + b) - 1) < 1e-5);
  }
  assert.equal(chosen.size, 4);
});

test("waits once a batch, with jitter, and computes", async () => {
  const { engine, seen } = createMock({ latencyMs: 500, jitterMs: 100, busyMs: 20 });
  await engine.infer(rows(8));
  assert.ok(seen.sleptMs >= 500 && seen.sleptMs < 600);
  assert.ok(seen.nowMs >= 20 && seen.nowMs < 22);
});

test("fails and crashes as often as told", async () => {
  const failing = createMock({ failureRate: 1 });
  await assert.rejects(failing.engine.infer(rows(1)), /the mock failed/);
  const half = createMock({ crashRate: 0.5 });
  for (let run = 0; run < 200; run++) await half.engine.infer(rows(1));
  assert.ok(half.seen.crashes > 60 && half.seen.crashes < 140, `${half.seen.crashes}`);
});

test("the poison kills, in any row, as a number and as a prompt", async () => {
  const { engine, seen } = createMock({ crashOn: 666.1 });
  await engine.infer(rows(3));
  assert.equal(seen.crashes, 0);
  const poisoned = new Float32Array(9);
  poisoned[7] = 666.1;
  await engine.infer([floatTensor("features", [3, 3], poisoned)]);
  assert.equal(seen.crashes, 1);
  const text = createMock({ crashOn: "boom" }, { prompt: "prompt" });
  const prompts = (...texts: string[]) => [
    {
      name: "prompt",
      datatype: "BYTES" as const,
      shape: [texts.length],
      data: encodeBytesElements(texts.map((word) => Buffer.from(word))),
    },
  ];
  const [scores] = await text.engine.infer(prompts("fine", "boomerang"));
  assert.deepEqual([text.seen.crashes, scores?.shape], [0, [2, 5]]);
  await text.engine.infer(prompts("fine", "boom"));
  assert.equal(text.seen.crashes, 1);
});

test("identity gives back the same bytes without a copy", async () => {
  const { engine } = createMock({ identity: true, width: 2 });
  assert.deepEqual(engine.inputs, [{ name: "input", datatype: "FP32", shape: [-1, 2] }]);
  const input = floatTensor("input", [2, 2], Float32Array.of(1, 2, 3, 4));
  const [output] = await engine.infer([input]);
  assert.deepEqual([output?.name, output?.shape], ["output", [2, 2]]);
  assert.equal(output?.data, input.data);
});

test("memory grows with every row", async () => {
  const { engine } = createMock({ growMb: 2 });
  const before = process.memoryUsage().arrayBuffers;
  for (let run = 0; run < 5; run++) await engine.infer(rows(2));
  const grown = (process.memoryUsage().arrayBuffers - before) / 2 ** 20;
  assert.ok(grown >= 19 && grown <= 22, `${grown}`);
});
