import assert from "node:assert/strict";
import { test } from "node:test";
import type { AnswerSink } from "../../core/forward.ts";
import { renamed } from "./renamed-answer.ts";

function collect(): { readonly sink: AnswerSink; readonly pieces: Uint8Array[] } {
  const pieces: Uint8Array[] = [];
  const nothing = (): void => {};
  const sink = { head: nothing, commit: nothing, usage: nothing, end: nothing, fail: nothing };
  return { sink: { ...sink, data: (chunk) => void pieces.push(chunk) }, pieces };
}

/** The answer after it went through in chunks of this size. */
function pass(text: string, chunkSize: number, isStream: boolean): string {
  const { sink, pieces } = collect();
  const answer = renamed(sink, { sent: "qwen-7b", told: 'größe "1"', isStream });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += chunkSize) answer.data(bytes.subarray(at, at + chunkSize));
  answer.end();
  return Buffer.concat(pieces).toString();
}

const told = JSON.stringify('größe "1"');

test("wherever chunks break, the server's name is replaced, and nothing else", () => {
  const said = String.raw`says \"model\": \"qwen-7b\" and "`.slice(0, -1);
  const event = (name: string): string =>
    `data: {"id":"1", "model" : ${name},"choices":[{"delta":{"content":"${said}"}}],"model_x":"qwen-7b"}\n\n`;
  const text = event('"qwen-7b"').repeat(3) + event('"qwen-7b-x"') + event('"qwen"') + "data: [DONE]\n\n";
  const wanted = event(told).repeat(3) + event('"qwen-7b-x"') + event('"qwen"') + "data: [DONE]\n\n";
  for (let size = 1; size < 200; size++) assert.equal(pass(text, size, true), wanted, String(size));
});

test("of an answer that is no stream the first is replaced", () => {
  const text = '{"model":"qwen-7b","content":[{"input":{"model":"qwen-7b"}}]}';
  const wanted = `{"model":${told},"content":[{"input":{"model":"qwen-7b"}}]}`;
  for (let size = 1; size < 70; size++) assert.equal(pass(text, size, false), wanted, String(size));
});

test("what ends within a name is given all the same, and chunks without one go through untouched", () => {
  for (const text of ['{"a":1,"mod', '{"model"  ', '{"model":"qwen', `{"model"${" ".repeat(200)}:1}`]) {
    for (let size = 1; size < 20; size++) assert.equal(pass(text, size, true), text);
  }
  const { sink, pieces } = collect();
  const chunk = Buffer.from("data: {}\n\n");
  renamed(sink, { sent: "a", told: "b", isStream: true }).data(chunk);
  assert.equal(pieces[0], chunk);
  assert.equal(renamed(sink, { sent: "a", told: "a", isStream: true }), sink);
});
