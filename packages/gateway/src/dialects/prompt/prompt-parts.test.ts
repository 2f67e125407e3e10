// What prefix caches depend on is found in bodies as it stands there, and a conversation that goes on begins with the same bytes.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isFailure } from "../../core/errors.ts";
import { promptPartsOf as anthropicParts, readEnvelope as readMessages } from "../anthropic/read-envelope.ts";
import { promptPartsOf as ollamaParts, readEnvelope } from "../ollama/read-envelope.ts";
import type { OpenAiOperation } from "../openai/openai-answers.ts";
import { OpenAiPayload } from "../openai/openai-payload.ts";
import { readOpenAiCall } from "../openai/read-call.ts";

function bytesOf(body: unknown, indent?: number): Uint8Array {
  return new Uint8Array(Buffer.from(typeof body === "string" ? body : JSON.stringify(body, null, indent)));
}

function textsOf(parts: readonly Uint8Array[]): string[] {
  return parts.map((part) => Buffer.from(part).toString());
}

function openAi(operation: OpenAiOperation, body: unknown, indent?: number): OpenAiPayload {
  const call = readOpenAiCall(bytesOf(body, indent), operation);
  assert.ok(!isFailure(call));
  return new OpenAiPayload(operation, call, undefined);
}

const messages = [
  { role: "system", content: "be brief" },
  { role: "user", content: 'say "hi"]' },
];
const tools = [{ type: "function", function: { name: "f" } }];

describe("OpenAI", () => {
  test("chats: salt, tools and messages, whatever their order, as views", () => {
    const payload = openAi("chat", { messages, model: "m", tools, temperature: 1, cache_salt: "s" });
    const parts = payload.promptParts();
    assert.deepEqual(textsOf(parts), ['"s"', JSON.stringify(tools), JSON.stringify(messages).slice(0, -1)]);
    assert.equal(new Set(parts.map(({ buffer }) => buffer)).size, 1);
    assert.equal(
      payload.bytes,
      JSON.stringify({ messages, model: "m", tools, temperature: 1, cache_salt: "s" }).length,
    );
  });

  test("completions, responses, and embeddings, which have none", () => {
    assert.deepEqual(textsOf(openAi("completions", { model: "m", prompt: "a b" }).promptParts()), ['"a b']);
    assert.deepEqual(textsOf(openAi("completions", { model: "m", prompt: ["a", "b"] }).promptParts()), [
      '["a","b"',
    ]);
    const body = { model: "m", input: "x", instructions: "y", tools: [] };
    assert.deepEqual(textsOf(openAi("responses", body).promptParts()), ["[]", '"y"', '"x']);
    assert.deepEqual(openAi("embeddings", { model: "m", input: "x" }).promptParts(), []);
  });

  test("a conversation that goes on begins with the same bytes, also where it is indented", () => {
    for (const indent of [undefined, 2]) {
      const before = textsOf(openAi("chat", { model: "m", messages }, indent).promptParts()).join("");
      const more = [...messages, { role: "assistant", content: "hi" }, { role: "user", content: "and?" }];
      const after = textsOf(openAi("chat", { model: "m", messages: more }, indent).promptParts()).join("");
      assert.ok(after.startsWith(`${before},`), after);
    }
  });

  test("what is no conversation is taken as it is", () => {
    assert.deepEqual(textsOf(openAi("chat", '{"model":"m","messages":null}').promptParts()), ["null"]);
    assert.deepEqual(textsOf(openAi("chat", '{"model":"m","messages":[]}').promptParts()), ["["]);
    assert.deepEqual(textsOf(openAi("chat", '{"model":"m","messages":[ ]}').promptParts()), ["["]);
    assert.deepEqual(openAi("chat", { model: "m" }).promptParts(), []);
  });

  test("an edited prompt is what the server gets", () => {
    const payload = openAi("chat", { model: "m", messages: messages.slice(1) });
    void payload.readPrompt();
    const edited = payload.edited({ system: { text: "be brief", place: "before" } });
    assert.ok(!isFailure(edited));
    const parts = textsOf(edited.promptParts?.() ?? []).join("");
    assert.match(parts, /be brief.*say/s);
  });
});

test("Ollama: tools and messages; template, system and prompt", () => {
  const chat = readEnvelope(bytesOf({ model: "m", messages, tools }), "messages");
  assert.ok(!isFailure(chat));
  assert.deepEqual(textsOf(ollamaParts(chat, "messages")), [
    JSON.stringify(tools),
    JSON.stringify(messages).slice(0, -1),
  ]);
  const generate = readEnvelope(bytesOf({ prompt: "p", model: "m", system: "s", template: "t" }), "prompt");
  assert.ok(!isFailure(generate));
  assert.deepEqual(textsOf(ollamaParts(generate, "prompt")), ['"t"', '"s"', '"p']);
});

test("Anthropic: tools, system and messages", () => {
  const envelope = readMessages(bytesOf({ model: "m", max_tokens: 1, messages, system: "s", tools }));
  assert.ok(!isFailure(envelope));
  assert.deepEqual(textsOf(anthropicParts(envelope)), [
    JSON.stringify(tools),
    '"s"',
    JSON.stringify(messages).slice(0, -1),
  ]);
});
