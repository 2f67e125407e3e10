import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createRandom } from "../random.ts";
import { splitTokens } from "../engine/prompt.ts";
import { answerCalls, answerText, planAnswer } from "./answer.ts";
import type { AnswerRequest } from "./answer.ts";
import { sampleOf } from "./sample.ts";
import { checkWords, textOf } from "./words.ts";

const request: AnswerRequest = {
  seed: 1,
  prompt: "hello",
  maxTokens: undefined,
  stop: [],
  ignoreEnd: false,
  thinking: false,
  tools: [],
  toolChoice: "auto",
  userSpokeLast: true,
  schema: undefined,
  wish: {},
  alphabet: "ascii",
  length: { mean: 20, deviation: 0 },
};

describe("numbered words", () => {
  it("tell what was lost, doubled or moved", () => {
    const text = textOf(12, 5);
    assert.deepEqual(checkWords(text), { words: 12, intact: true });
    const words = text.split(" ");
    assert.equal(checkWords(words.toSpliced(3, 1).join(" ")).broken, words[4]);
    assert.equal(checkWords([...words.slice(0, 3), ...words.slice(2)].join(" ")).broken, words[2]);
    assert.equal(checkWords([words[1], words[0]].join(" ")).intact, false);
    assert.equal(checkWords("cedar10").intact, false);
  });

  it("are one token each, in every alphabet", () => {
    assert.equal(splitTokens(textOf(500, 9)).length, 500);
    assert.ok(checkWords(textOf(500, 9, "unicode")).intact);
    assert.ok(Buffer.byteLength(textOf(50, 9, "unicode")) > textOf(50, 9, "unicode").length);
  });
});

describe("answers", () => {
  it("are the same for the same prompt and seed, and differ for others", () => {
    const text = (each: AnswerRequest): string => answerText(planAnswer(each), "text");
    assert.equal(text(request), text({ ...request }));
    assert.notEqual(text(request), text({ ...request, seed: 2 }));
    assert.notEqual(text(request), text({ ...request, prompt: "other" }));
  });

  it("have lengths around the mean", () => {
    const lengths = Array.from(
      { length: 2000 },
      (_, seed) => planAnswer({ ...request, seed, length: { mean: 200, deviation: 100 } }).tokens,
    );
    const mean = lengths.reduce((sum, each) => sum + each, 0) / lengths.length;
    assert.ok(mean > 190 && mean < 210, `mean ${mean}`);
    assert.ok(new Set(lengths).size > 100);
  });

  it("are cut by the limit wherever it falls", () => {
    const cut = planAnswer({ ...request, thinking: true, maxTokens: 10 });
    assert.deepEqual([cut.tokens, cut.finish], [10, "length"]);
    assert.deepEqual(
      [checkWords(answerText(cut, "thinking")).words, checkWords(answerText(cut, "text")).words],
      [8, 2],
    );
    const ignored = planAnswer({ ...request, ignoreEnd: true, maxTokens: 300 });
    assert.deepEqual([ignored.tokens, ignored.finish], [300, "length"]);
  });

  it("end before a stop string", () => {
    const whole = answerText(planAnswer(request), "text");
    const stop = whole.split(" ")[5] ?? "";
    const answer = planAnswer({ ...request, stop: [stop] });
    assert.deepEqual([answer.finish, answer.stopString], ["stop", stop]);
    assert.equal(answerText(answer, "text"), whole.slice(0, whole.indexOf(stop)));
  });

  it("call tools by choice", () => {
    const tools = ["one", "two"].map((name) => ({
      name,
      parameters: { type: "object", properties: { n: { type: "integer" } } },
    }));
    const calls = (more: Partial<AnswerRequest>): string[] =>
      answerCalls(planAnswer({ ...request, tools, ...more })).map(({ name }) => name);
    assert.deepEqual(calls({}), ["one"]);
    assert.deepEqual(calls({ toolChoice: { name: "two" } }), ["two"]);
    assert.deepEqual(calls({ toolChoice: "none" }), []);
    assert.deepEqual(calls({ userSpokeLast: false }), []);
    assert.deepEqual(calls({ userSpokeLast: false, toolChoice: "required" }), ["one"]);
    assert.deepEqual(calls({ wish: { toolCalls: [{ name: "x" }, { name: "y" }] } }), ["x", "y"]);
  });
});

describe("values of a schema", () => {
  const sample = (schema: Record<string, unknown>): unknown => sampleOf(schema, createRandom(3));

  it("follow references, choices and bounds", () => {
    assert.equal(sample({ const: 5 }), 5);
    assert.ok(["a", "b"].includes(String(sample({ enum: ["a", "b"] }))));
    const number = Number(sample({ type: "integer", exclusiveMinimum: 3, maximum: 5 }));
    assert.ok(number > 3 && number <= 5);
    assert.deepEqual(sample({ anyOf: [{ type: "null" }, { type: "string" }] }), null);
    const merged = sample({
      allOf: [{ type: "object", properties: { a: { const: 1 } } }, { properties: { b: { const: 2 } } }],
    });
    assert.deepEqual(merged, { a: 1, b: 2 });
    assert.equal(String(sample({ type: "string", minLength: 20, maxLength: 20 })).length, 20);
    assert.equal(
      (sample({ type: "array", minItems: 3, items: { type: "boolean" } }) as unknown[]).length >= 3,
      true,
    );
  });

  it("end though a schema refers to itself", () => {
    const node = {
      type: "object",
      properties: { value: { type: "integer" }, next: { $ref: "#/$defs/node" } },
      required: ["value"],
    };
    assert.ok(JSON.stringify(sample({ $ref: "#/$defs/node", $defs: { node } })).length > 10);
    const endless = { ...node, required: ["value", "next"] };
    assert.ok(JSON.stringify(sample({ $ref: "#/$defs/node", $defs: { node: endless } })).length > 10);
  });
});
