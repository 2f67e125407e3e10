/** Large chats in threads: what is prepared is sent, once for servers that are asked alike; what cannot be is a failure. */
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { KeptAnswer, testContext } from "../../../test/support/answers.ts";
import { Cancellation } from "../../core/cancellation.ts";
import { isFailure } from "../../core/errors.ts";
import type { AttemptTarget } from "../../core/forward.ts";
import { createManualClock } from "../../testing.ts";
import { JsonThreads, type JsonThreadLimits } from "../json/json-threads.ts";
import { ollamaEmbed } from "../ollama/embeddings.ts";
import { openAiChat } from "../openai/openai-callers.ts";
import { serverCodecs } from "../translation-tasks.ts";
import { ChatTranslation, EmbeddingsTranslation } from "./translation.ts";

const ollama: AttemptTarget = { dialect: "ollama", model: "there", serves: [] };
const large = "x".repeat(300_000);

const open: JsonThreads[] = [];
afterEach(() => {
  for (const threads of open.splice(0)) threads.close();
});

function startThreads(limits: Partial<JsonThreadLimits> = {}): JsonThreads {
  const threads = new JsonThreads({ clock: createManualClock(), limits });
  open.push(threads);
  return threads;
}

function chat(content: unknown, threads = startThreads()): ChatTranslation {
  const body = Buffer.from(JSON.stringify({ model: "m", messages: [{ role: "user", content }] }));
  return new ChatTranslation({
    caller: openAiChat,
    servers: serverCodecs,
    body,
    context: testContext(),
    threads,
  });
}

const bodyOf = (made: ReturnType<ChatTranslation["attempt"]>): Record<string, unknown> => {
  assert.ok(!isFailure(made), JSON.stringify(made));
  return JSON.parse(Buffer.from(made.body).toString()) as Record<string, unknown>;
};

describe("a chat", () => {
  test("that is small needs no thread", () => {
    const threads = startThreads();
    assert.equal(chat("Hi", threads).prepare(ollama, new Cancellation()), undefined);
    assert.equal(threads.size, 0);
  });

  test("that is large is prepared once for servers that are asked alike", async () => {
    const translation = chat(large);
    await translation.prepare(ollama, new Cancellation());
    const again = { ...ollama, serves: [...ollama.serves] };
    assert.equal(translation.prepare(again, new Cancellation()), undefined);
    const [one, two] = [ollama, again].map((target) => translation.attempt(target, new KeptAnswer()));
    assert.ok(one !== undefined && two !== undefined && !isFailure(one) && !isFailure(two));
    assert.equal(one.body, two.body);
    assert.deepEqual(bodyOf(one)["messages"], [{ role: "user", content: large }]);
    const other: AttemptTarget = { ...ollama, dialect: "anthropic" };
    const waiting = translation.prepare(other, new Cancellation());
    assert.ok(waiting !== undefined);
    await waiting;
    assert.equal(bodyOf(translation.attempt(other, new KeptAnswer()))["max_tokens"], 4096);
  });

  test("finds the queue full: overloaded, with the time to come back; a later attempt may fare better", async () => {
    const threads = startThreads({ maxQueue: 1 });
    const [first, second, third] = [chat(large, threads), chat(large, threads), chat(large, threads)];
    const prepared = [first, second].map((each) => each.prepare(ollama, new Cancellation()) ?? assert.fail());
    await third.prepare(ollama, new Cancellation());
    const refused = third.attempt(ollama, new KeptAnswer());
    assert.ok(isFailure(refused) && refused.code === "overloaded" && refused.retryAfterMs !== undefined);
    await Promise.all(prepared);
    const waiting = third.prepare(ollama, new Cancellation());
    assert.ok(waiting !== undefined);
    await waiting;
    bodyOf(third.attempt(ollama, new KeptAnswer()));
  });

  test("tells the field that is wrong, or that the server's dialect has no words for", async () => {
    for (const [content, field] of [
      [[{ type: "text", text: large }, { type: "text" }], "messages[0].content[1].text"],
      [
        [
          { type: "text", text: large },
          { type: "image_url", image_url: { url: "http://x/" } },
        ],
        "messages.content.image_url",
      ],
    ] as const) {
      const translation = chat(content);
      await translation.prepare(ollama, new Cancellation());
      const refused = translation.attempt(ollama, new KeptAnswer());
      assert.ok(isFailure(refused) && refused.code === "bad_request");
      assert.equal(refused.field, field);
    }
  });

  test("has a large answer that is cut off while a thread has it: told once", async () => {
    const out = new KeptAnswer();
    const made = chat("Hi").attempt(ollama, out);
    assert.ok(!isFailure(made));
    const { reader } = made;
    reader.head(200, {});
    reader.data(Buffer.from(JSON.stringify({ message: { role: "assistant", content: large }, done: true })));
    reader.end();
    assert.equal(reader.isTranslating, true);
    reader.cut({ code: "upstream_timeout", message: "too slow" });
    while (reader.isTranslating === true) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(out.failure?.code, "upstream_timeout");
    assert.equal(out.ended, false);
    assert.equal(out.status, undefined);
  });
});

test("embeddings, large both ways", async () => {
  const openai: AttemptTarget = { dialect: "openai", model: "there", serves: [] };
  const input = Array.from({ length: 200 }, (_, i) => `${i} ${"x".repeat(2_000)}`);
  const translation = new EmbeddingsTranslation({
    caller: ollamaEmbed,
    servers: serverCodecs,
    body: Buffer.from(JSON.stringify({ model: "m", input })),
    context: testContext(),
    threads: startThreads(),
  });
  await translation.prepare(openai, new Cancellation());
  const out = new KeptAnswer();
  const made = translation.attempt(openai, out);
  assert.deepEqual(bodyOf(made)["input"], input);
  assert.ok(!isFailure(made));
  const vectors = input.map((_, i) => Array.from({ length: 256 }, (__, j) => Math.fround(Math.sin(i + j))));
  const data = vectors.map((embedding, index) => ({ index, embedding }));
  made.reader.head(200, {});
  made.reader.data(Buffer.from(JSON.stringify({ data, usage: { prompt_tokens: 9 } })));
  made.reader.end();
  while (made.reader.isTranslating === true) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(out.ended, true);
  const answer = JSON.parse(out.sent) as Record<string, unknown>;
  assert.deepEqual(answer["embeddings"], vectors);
  assert.equal(out.tokens?.promptTokens, 9);
});
