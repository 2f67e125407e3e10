import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChatMessage } from "./chat-request.ts";
import { rulesFirst } from "./rules-first.ts";

const text = (said: string): { readonly kind: "text"; readonly text: string } => ({
  kind: "text",
  text: said,
});
const rules = (said: string): ChatMessage => ({ role: "system", content: [text(said)] });
const user = (...said: string[]): ChatMessage => ({ role: "user", content: said.map(text) });
const assistant: ChatMessage = { role: "assistant", content: [text("a")] };
const result: ChatMessage = {
  role: "tool",
  callId: "c",
  name: undefined,
  content: [text("r")],
  isError: false,
};
const reminder = (said: string): string => `<system-reminder>\n${said}\n</system-reminder>`;

const cases: readonly (readonly [
  name: string,
  given: readonly ChatMessage[],
  made: readonly ChatMessage[],
])[] = [
  ["rules alone stay", [rules("x")], [rules("x")]],
  [
    "a conversation as it should be stays",
    [rules("x"), user("u"), assistant],
    [rules("x"), user("u"), assistant],
  ],
  ["two users in a row stay", [user("u"), user("v")], [user("u"), user("v")]],
  [
    "rules at the beginning become one message",
    [rules("x"), rules("y"), user("u")],
    [{ role: "system", content: [text("x"), text("y")] }, user("u")],
  ],
  ["rules behind a user are said there", [user("u"), rules("x")], [user("u", reminder("x"))]],
  [
    "rules behind a result are said by a user, with what the user says next",
    [user("u"), result, rules("x"), user("v"), assistant],
    [user("u"), result, user(reminder("x"), "v"), assistant],
  ],
  ["rules behind an answer", [user("u"), assistant, rules("x")], [user("u"), assistant, user(reminder("x"))]],
];

for (const [name, given, made] of cases) test(name, () => assert.deepEqual(rulesFirst(given), made));

test("what stands before is the same when the conversation goes on", () => {
  const conversation = [
    user("u"),
    rules("x"),
    assistant,
    result,
    rules("y"),
    assistant,
    user("v"),
    rules("z"),
  ];
  const whole = JSON.stringify(rulesFirst(conversation)).slice(0, -1);
  for (const length of [2, 3, 4, 5, 6]) {
    const begun = JSON.stringify(rulesFirst(conversation.slice(0, length))).slice(0, -1);
    assert.ok(whole.startsWith(begun), `${length} messages`);
  }
});
