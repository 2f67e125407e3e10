import assert from "node:assert/strict";
import { test } from "node:test";
import { hasLaterWords, hasLaterWordsInTurns } from "./later-words.ts";

const body = (value: unknown, space?: number): Buffer => Buffer.from(JSON.stringify(value, undefined, space));
const said = (content: string): object => ({ role: "user", content });

function inTurns(bytes: Buffer): boolean {
  const work = hasLaterWordsInTurns(bytes);
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

test("rules between messages and tools for later are found, whatever blanks there are", () => {
  for (const space of [0, 2]) {
    for (const words of [
      { system: "x", messages: [said("a"), { role: "system", content: "b" }] },
      { messages: [said("a")], tools: [{ name: "f", defer_loading: true }] },
    ])
      assert.deepEqual([hasLaterWords(body(words, space)), inTurns(body(words, space))], [true, true]);
  }
});

test("what is said of them is not taken for them", () => {
  for (const words of [
    {
      system: [{ type: "text", text: "system" }],
      messages: [said("system"), { role: "user", content: "x" }],
    },
    { messages: [said('{"role":"system","defer_loading":true}')] },
    { tools: [{ input_schema: { enum: ["user", "system"] } }] },
  ])
    assert.deepEqual([hasLaterWords(body(words)), inTurns(body(words))], [false, false]);
});

test("they are found where a large body is cut between turns", () => {
  for (let before = 1_048_540; before < 1_048_580; before++) {
    const large = Buffer.concat([Buffer.alloc(before, 32), body({ role: "system" })]);
    assert.ok(inTurns(large), String(before));
  }
});
