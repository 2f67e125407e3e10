/** Golden tables: every field of Ollama's API into the neutral model and back, and answers both ways. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { failure, isFailure } from "../../core/errors.ts";
import type { AnswerReader, AttemptTarget } from "../../core/forward.ts";
import type { ChatRequest } from "../chat/chat-request.ts";
import { createWholeChatReader } from "../chat/translating-whole.ts";
import { TranslatingStream } from "../chat/translating-stream.ts";
import { cutsOf, feed, testContext, type KeptAnswer } from "../../../test/support/answers.ts";
import { ollamaChat, ollamaGenerate, ollamaServer } from "./codecs.ts";
import { ollamaEmbed, ollamaEmbeddings, ollamaServerEmbeddings } from "./embeddings.ts";

const target: AttemptTarget = { dialect: "ollama", model: "llama3:latest", serves: [] };
const png = "iVBORw0KGgo=";

function chat(body: object): ChatRequest {
  const request = ollamaChat.readChat(Buffer.from(JSON.stringify({ model: "llama3", ...body })));
  assert.ok(!isFailure(request), isFailure(request) ? request.message : "");
  return request;
}

function generate(body: object): ChatRequest {
  const request = ollamaGenerate.readChat(Buffer.from(JSON.stringify({ model: "llama3", ...body })));
  assert.ok(!isFailure(request), isFailure(request) ? request.message : "");
  return request;
}

/** The body an Ollama server gets. */
function written(request: ChatRequest): { path: string; body: Record<string, unknown> } {
  const result = ollamaServer.writeChatRequest(request, target);
  assert.ok(!isFailure(result), isFailure(result) ? result.message : "");
  const body = JSON.parse(Buffer.from(result.body).toString()) as Record<string, unknown>;
  return { path: result.path, body };
}

const hello = [{ role: "user", content: "hello" }];

describe("requests from Ollama's callers to Ollama's servers through the neutral model", () => {
  const tools = [
    {
      type: "function",
      function: {
        name: "add",
        description: "adds",
        parameters: { type: "object", properties: { a: { type: "number" } } },
      },
    },
  ];
  const schema = { type: "object", properties: { a: { type: "string" } } };
  const same: readonly (readonly [name: string, body: Record<string, unknown>])[] = [
    [
      "options",
      {
        options: { temperature: 0.1, top_p: 0.2, top_k: 3, min_p: 0.4, seed: 5, num_predict: 6, stop: ["x"] },
      },
    ],
    ["penalties", { options: { frequency_penalty: 0.1, presence_penalty: 0.2, repeat_penalty: 1.3 } }],
    ["json", { format: "json" }],
    ["schema", { format: schema }],
    ["think", { think: true }],
    ["think not", { think: false }],
    ["think level", { think: "high" }],
    ["logprobs", { logprobs: true, top_logprobs: 2 }],
    ["tools", { tools }],
  ];
  for (const [name, body] of same) {
    it(`keep ${name}`, () => {
      const sent = written(chat({ messages: hello, ...body })).body;
      assert.deepEqual(sent, { options: {}, model: "llama3:latest", messages: hello, stream: true, ...body });
    });
  }

  it("keep messages of all roles, pictures, thinking and calls, and make ids where there are none", () => {
    const messages = [
      { role: "system", content: "rules" },
      { role: "user", content: "look", images: [png] },
      {
        role: "assistant",
        content: "",
        thinking: "hm",
        tool_calls: [
          { function: { name: "add", arguments: { a: 1 } } },
          { id: "own", function: { name: "sub", arguments: {} } },
        ],
      },
      { role: "tool", content: "2", tool_name: "sub", tool_call_id: "own" },
      { role: "tool", content: "1", tool_name: "add" },
    ];
    assert.deepEqual(written(chat({ messages, stream: false })).body["messages"], [
      messages[0],
      messages[1],
      {
        ...messages[2],
        tool_calls: [
          { id: "call_0", function: { index: 0, name: "add", arguments: { a: 1 } } },
          { id: "own", function: { index: 1, name: "sub", arguments: {} } },
        ],
      },
      messages[3],
      { ...messages[4], tool_call_id: "call_0" },
    ]);
  });

  it("turn generate into a chat, or keep it raw", () => {
    const shown = written(generate({ prompt: "p", system: "s", images: [png] }));
    assert.equal(shown.path, "/api/chat");
    assert.deepEqual(shown.body["messages"], [
      { role: "system", content: "s" },
      { role: "user", content: "p", images: [png] },
    ]);
    const raw = written(generate({ prompt: "p", raw: true }));
    assert.deepEqual([raw.path, raw.body["prompt"], raw.body["raw"]], ["/api/generate", "p", true]);
    assert.equal(written(generate({ prompt: "p", suffix: "q" })).body["suffix"], "q");
  });

  it("drop what speaks to the server's memory", () => {
    const options = {
      num_ctx: 8192,
      num_gpu: 1,
      num_thread: 4,
      num_keep: 2,
      use_mmap: true,
      repeat_last_n: 64,
    };
    const body = written(
      chat({ messages: hello, options, keep_alive: "5m", truncate: true, shift: false }),
    ).body;
    assert.deepEqual(body, { options: {}, model: "llama3:latest", messages: hello, stream: true });
    for (const limit of [0, -1, -2]) {
      assert.equal(chat({ messages: hello, options: { num_predict: limit } }).maxTokens, undefined);
    }
  });
});

describe("requests that cannot be carried name the field", () => {
  const chatRefusals: readonly (readonly [field: string, body: object])[] = [
    ["options.mirostat", { messages: hello, options: { mirostat: 2 } }],
    ["options.typical_p", { messages: hello, options: { typical_p: 0.5 } }],
    ["options.temperature", { messages: hello, options: { temperature: "hot" } }],
    ["messages[0].role", { messages: [{ role: "nobody", content: "" }] }],
    ["messages[0].content", { messages: [{ role: "user", content: 1 }] }],
    ["messages[0].images[0]", { messages: [{ role: "user", images: [1] }] }],
    ["messages", { messages: [] }],
    ["tools[0].function.name", { messages: hello, tools: [{ function: {} }] }],
    ["format", { messages: hello, format: 3 }],
    ["think", { messages: hello, think: 3 }],
    ["stream", { messages: hello, stream: "yes" }],
  ];
  for (const [field, body] of chatRefusals) {
    it(field, () => {
      const result = ollamaChat.readChat(Buffer.from(JSON.stringify({ model: "m", ...body })));
      assert.ok(isFailure(result));
      assert.equal(result.field, field);
      assert.ok(result.message.includes(field));
    });
  }
  for (const [field, body] of [
    ["template", { prompt: "p", template: "t" }],
    ["context", { prompt: "p", context: [1, 2] }],
    ["width", { prompt: "p", width: 64 }],
    ["system", { prompt: "p", raw: true, system: "s" }],
  ] as const) {
    it(`generate's ${field}`, () => {
      const result = ollamaGenerate.readChat(Buffer.from(JSON.stringify({ model: "m", ...body })));
      assert.ok(isFailure(result) && result.field === field);
    });
  }
  it("of other dialects, by their own names", () => {
    const request = {
      ...chat({ messages: hello }),
      fields: { toolChoice: "tool_choice", imageUrls: "image_url" },
    };
    const forced = ollamaServer.writeChatRequest({ ...request, toolChoice: { kind: "required" } }, target);
    assert.ok(isFailure(forced) && forced.field === "tool_choice");
    const content = [{ kind: "image", source: { kind: "url", url: "https://a/b.png" } }] as const;
    const pictured = ollamaServer.writeChatRequest(
      { ...request, messages: [{ role: "user", content }] },
      target,
    );
    assert.ok(isFailure(pictured) && pictured.field === "image_url");
  });
});

const streamed = [
  '{"model":"x","created_at":"t","message":{"role":"assistant","content":"","thinking":"hm "},"done":false}',
  '{"model":"x","created_at":"t","message":{"role":"assistant","content":"gr\u00fc\u00df \ud83d\ude00"},"done":false}',
  '{"model":"x","created_at":"t","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"add","arguments":{"done":true,"error":"x"}}}]},"done":false}',
  '{"model":"x","created_at":"t","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":3}',
  "",
].join("\n");

const type = "application/x-ndjson";

function streamReader(out: KeptAnswer): AnswerReader {
  const request = chat({ messages: hello });
  return new TranslatingStream({
    server: ollamaServer,
    caller: ollamaChat,
    request,
    context: testContext(),
    out,
  });
}

describe("streams of Ollama's servers", () => {
  it("are read and written alike wherever they are cut", () => {
    const whole = feed(streamReader, { type, body: streamed });
    assert.equal(whole.ended, true);
    assert.equal(whole.committedAfter, "");
    const opening = { model: "m", created_at: "2026-01-01T00:00:00.000Z" };
    assert.deepEqual(whole.lines, [
      { ...opening, message: { role: "assistant", content: "", thinking: "hm " }, done: false },
      { ...opening, message: { role: "assistant", content: "grüß 😀" }, done: false },
      {
        ...opening,
        message: {
          role: "assistant",
          content: "",
          tool_calls: [
            { id: "call_0", function: { index: 0, name: "add", arguments: { done: true, error: "x" } } },
          ],
        },
        done: false,
      },
      {
        ...opening,
        message: { role: "assistant", content: "" },
        done: true,
        done_reason: "stop",
        total_duration: 0,
        load_duration: 0,
        prompt_eval_count: 11,
        prompt_eval_duration: 0,
        eval_count: 3,
        eval_duration: 0,
      },
    ]);
    assert.deepEqual(whole.tokens, {
      promptTokens: 11,
      cachedTokens: 0,
      completionTokens: 3,
      estimated: false,
    });
    for (const at of cutsOf(streamed)) {
      assert.equal(feed(streamReader, { type, body: streamed, at }).text, whole.text, `cut at ${at}`);
    }
  });

  it("may lack the last line feed and have carriage returns", () => {
    const crlf = streamed.replaceAll("\n", "\r\n");
    assert.equal(feed(streamReader, { type, body: crlf }).ended, true);
    assert.equal(feed(streamReader, { type, body: streamed.trimEnd() }).ended, true);
  });

  it("that break off before content can be tried again, and after it end in an error line", () => {
    const lines = streamed.split("\n");
    const early = feed(streamReader, { type, body: "", end: { cut: failure("upstream_unreachable") } });
    assert.equal(early.failure?.code, "upstream_unreachable");
    assert.equal(early.ended, false);
    for (const end of ["end", { cut: failure("upstream_unreachable") }] as const) {
      const late = feed(streamReader, { type, body: `${lines.slice(0, 2).join("\n")}\n`, end });
      assert.equal(late.ended, true);
      assert.notEqual(late.failure, undefined);
      assert.deepEqual(Object.keys(late.lines.at(-1) ?? {}), ["error"]);
    }
    const torn = feed(streamReader, { type, body: streamed.slice(0, -30) });
    assert.equal(torn.failure?.code, "bad_upstream_answer");
    const told = feed(streamReader, { type, body: `${lines[0]}\n{"error":"out of memory"}\n` });
    assert.equal(told.failure?.code, "model_failed");
    assert.deepEqual(told.lines.at(-1), { error: "out of memory" });
    const malformed = feed(streamReader, { type, body: `${lines[0]}\n<html>\n` });
    assert.equal(malformed.failure?.code, "bad_upstream_answer");
  });
});

describe("whole answers", () => {
  it("of chat and generate, with durations", () => {
    const body = JSON.stringify({
      message: {
        role: "assistant",
        content: "hi",
        thinking: "hm",
        tool_calls: [{ function: { name: "f", arguments: {} } }],
      },
      done: true,
      done_reason: "length",
      prompt_eval_count: 2,
      eval_count: 3,
    });
    const read = (caller: typeof ollamaChat, request: ChatRequest): Record<string, unknown> => {
      const kept = feed(
        (out) =>
          createWholeChatReader({ server: ollamaServer, caller, request, context: testContext(), out }),
        { type: "application/json", body },
      );
      assert.equal(kept.ended, true);
      return kept.lines[0] as Record<string, unknown>;
    };
    const message = read(ollamaChat, chat({ messages: hello, stream: false }));
    assert.deepEqual(message["message"], {
      role: "assistant",
      content: "hi",
      thinking: "hm",
      tool_calls: [{ id: "call_0", function: { index: 0, name: "f", arguments: {} } }],
    });
    assert.deepEqual([message["done_reason"], message["eval_count"]], ["length", 3]);
    const response = read(ollamaGenerate, generate({ prompt: "p", stream: false }));
    assert.deepEqual([response["response"], response["thinking"], response["done"]], ["hi", "hm", true]);
  });

  it("without `done` are broken", () => {
    const result = ollamaServer.readChatAnswer(Buffer.from('{"message":{"content":"x"},"done":false}'));
    assert.ok(isFailure(result) && result.code === "bad_upstream_answer");
  });
});

describe("embeddings", () => {
  it("of both addresses", () => {
    const several = ollamaEmbed.readRequest(Buffer.from('{"model":"m","input":["a","b"],"dimensions":2}'));
    assert.ok(!isFailure(several));
    const sent = ollamaServerEmbeddings.writeRequest(several, target);
    assert.ok(!isFailure(sent));
    assert.deepEqual(JSON.parse(Buffer.from(sent.body).toString()), {
      model: "llama3:latest",
      input: ["a", "b"],
      dimensions: 2,
    });
    const one = ollamaEmbeddings.readRequest(Buffer.from('{"model":"m","prompt":"a"}'));
    assert.ok(!isFailure(one));
    assert.deepEqual(one.input, ["a"]);
    const answer = ollamaServerEmbeddings.readAnswer(
      Buffer.from('{"embeddings":[[1,2]],"prompt_eval_count":4}'),
    );
    assert.ok(!isFailure(answer));
    const context = testContext();
    const written = { ...answer, promptTokens: 4 };
    const text = (wire: { readonly body: readonly Uint8Array[] }): unknown =>
      JSON.parse(Buffer.concat(wire.body).toString());
    assert.deepEqual(text(ollamaEmbeddings.writeAnswer(written, context)), { embedding: [1, 2] });
    assert.deepEqual(text(ollamaEmbed.writeAnswer(written, context)), {
      model: "m",
      embeddings: [[1, 2]],
      total_duration: 0,
      load_duration: 0,
      prompt_eval_count: 4,
    });
    const wrong = ollamaEmbed.readRequest(Buffer.from('{"model":"m","input":[1]}'));
    assert.ok(isFailure(wrong) && wrong.field === "input[0]");
  });
});
