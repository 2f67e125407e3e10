/** What the word list makes of plain sentences. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeBytesElements } from "@spillway/protocol/tensors";
import { floatValues } from "../tensor.ts";
import { scoreSentiment } from "./sentiment.ts";
import { createTextEngine } from "./text.ts";

const classes = ["negative", "positive", "neutral"];

function classOf(text: string): string | undefined {
  const scores = scoreSentiment(text);
  return classes[scores.indexOf(Math.max(...scores))];
}

const sentences: Record<string, readonly string[]> = {
  positive: [
    "I love it",
    "This is really great!",
    "not bad at all",
    "The food was terrible, but the service was outstanding and I love the place",
    "no problem, thanks",
    "A step in the right direction",
    "I can’t stop smiling, this is wonderful",
  ],
  negative: [
    "I hate this",
    "not good",
    "I am not happy",
    "I don't like it",
    "This is no fun",
    "Looks great, but it is awful and broken",
    "What an extremely stupid idea",
  ],
  neutral: [
    "The box is on the table",
    "",
    "   ",
    "12345 !!! ???",
    "今日は火曜日です",
    "constructor toString __proto__",
  ],
};

for (const [expected, texts] of Object.entries(sentences)) {
  for (const text of texts) test(`${expected}: ${text}`, () => assert.equal(classOf(text), expected));
}

test("shares are probabilities and emphasis makes them stronger", () => {
  for (const text of ["very very good", "bad", "", "love ".repeat(1000)]) {
    const scores = scoreSentiment(text);
    assert.ok(Math.abs(scores.reduce((a, b) => a + b) - 1) < 1e-9);
    assert.ok(scores.every((score) => score >= 0 && score <= 1));
  }
  const positive = (text: string) => scoreSentiment(text)[1];
  assert.ok(positive("very good") > positive("good"));
  assert.ok(positive("slightly good") < positive("good"));
});

test("a long text takes time in proportion to its length", () => {
  const text = "not very good but no fun ".repeat(20_000);
  const start = performance.now();
  scoreSentiment(text);
  assert.ok(performance.now() - start < 2_000);
});

test("the engine answers a row for each text", async () => {
  const engine = createTextEngine();
  const prompts = ["I love it", "awful"].map((text) => Buffer.from(text));
  const [scores] = await engine.infer([
    { name: "prompt", datatype: "BYTES", shape: [2], data: encodeBytesElements(prompts) },
  ]);
  assert.deepEqual([scores?.name, scores?.shape], ["scores", [2, 3]]);
  const values = floatValues(scores?.data ?? new Uint8Array());
  assert.ok((values[1] ?? 0) > 0.8 && (values[3] ?? 0) > 0.7);
});
