/** Golden tables: every field of Anthropic's API into the neutral model and back, and answers both ways. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { failure, isFailure } from "../../core/errors.ts";
import type { AnswerReader, AttemptTarget } from "../../core/forward.ts";
import type { ChatRequest } from "../chat/chat-request.ts";
import { createWholeChatReader } from "../chat/translating-whole.ts";
import { TranslatingStream } from "../chat/translating-stream.ts";
import { ollamaServer } from "../ollama/codecs.ts";
import { cutsOf, feed, KeptAnswer, testContext } from "../../../test/support/answers.ts";
import { anthropicMessages, anthropicServer } from "./codecs.ts";
import { writeAnthropicFailure } from "./errors.ts";
import { MessagesPayload } from "./payload.ts";
import { readEnvelope } from "./read-envelope.ts";

const target: AttemptTarget = { dialect: "anthropic", model: "claude", serves: [] };
const hello = [{ role: "user", content: [{ type: "text", text: "hello" }] }];

function read(body: object): ReturnType<typeof anthropicMessages.readChat> {
  return anthropicMessages.readChat(Buffer.from(JSON.stringify({ model: "claude", max_tokens: 9, ...body })));
}

function good(body: object): ChatRequest {
  const request = read(body);
  assert.ok(!isFailure(request), isFailure(request) ? request.message : "");
  return request;
}

function written(request: ChatRequest): Record<string, unknown> {
  const result = anthropicServer.writeChatRequest(request, target);
  assert.ok(!isFailure(result), isFailure(result) ? result.message : "");
  return JSON.parse(Buffer.from(result.body).toString()) as Record<string, unknown>;
}

const schema = { type: "object", properties: { a: { type: "number" } } };

describe("requests from Anthropic's callers to its servers through the neutral model", () => {
  const same: readonly (readonly [name: string, body: Record<string, unknown>])[] = [
    ["sampling", { temperature: 0.5, top_p: 0.2, top_k: 3, stop_sequences: ["x", "y"] }],
    ["system", { system: [{ type: "text", text: "rules" }] }],
    ["tools", { tools: [{ name: "add", description: "adds", input_schema: schema }] }],
    [
      "tool choice",
      { tools: [{ name: "add", input_schema: schema }], tool_choice: { type: "tool", name: "add" } },
    ],
    [
      "one tool at a time",
      {
        tools: [{ name: "add", input_schema: schema }],
        tool_choice: { type: "any", disable_parallel_tool_use: true },
      },
    ],
    ["a budget of thought", { max_tokens: 4000, thinking: { type: "enabled", budget_tokens: 2000 } }],
    ["adaptive thought", { thinking: { type: "adaptive" }, output_config: { effort: "high" } }],
    ["no thought", { thinking: { type: "disabled" } }],
    ["a schema", { output_config: { format: { type: "json_schema", schema } } }],
    ["the user", { metadata: { user_id: "u" } }],
  ];
  for (const [name, body] of same) {
    it(`keep ${name}`, () => {
      const sent = written(good({ messages: hello, ...body }));
      assert.deepEqual(sent, { model: "claude", max_tokens: 9, messages: hello, stream: false, ...body });
    });
  }

  it("keep blocks of all kinds but encrypted thinking and marks of the cache", () => {
    const messages = [
      {
        role: "user",
        content: [
          { type: "text", text: "look" },
          { type: "image", source: { type: "base64", media_type: "image/png", data: "AA==" } },
          { type: "image", source: { type: "url", url: "https://a/b.png" } },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "hm", signature: "sig" },
          { type: "text", text: "well" },
          { type: "tool_use", id: "t1", name: "add", input: { a: 1 } },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "2" }], is_error: true },
          { type: "text", text: "and?" },
        ],
      },
    ];
    assert.deepEqual(written(good({ messages }))["messages"], messages);
    const marked = [
      { role: "user", content: [{ type: "text", text: "x", cache_control: { type: "ephemeral" } }] },
    ];
    const sealed = [...marked, { role: "assistant", content: [{ type: "redacted_thinking", data: "zz" }] }];
    assert.deepEqual(written(good({ messages: sealed }))["messages"], [
      { role: "user", content: [{ type: "text", text: "x" }] },
    ]);
  });

  it("write ids and schemas of other APIs' callers as Anthropic takes them", () => {
    const id = "functions.add:0";
    const messages = [
      { role: "assistant", content: [{ type: "tool_use", id, name: "add", input: {} }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: id, content: [] }] },
    ];
    const tools = [{ name: "add", input_schema: { properties: {} } }];
    const sent = written(good({ messages, tools }));
    const made = "functions_add_0";
    assert.deepEqual(sent["messages"], [
      { role: "assistant", content: [{ type: "tool_use", id: made, name: "add", input: {} }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: made, content: [] }] },
    ]);
    assert.deepEqual(sent["tools"], [{ name: "add", input_schema: { type: "object", properties: {} } }]);
  });

  it("say rules that stand between messages in the user's place, and leave thinking to the model that is told nothing of it", () => {
    const request = good({
      messages: [...hello, { role: "system", content: "be brief" }],
      thinking: { type: "adaptive" },
      mcp_servers: [],
      context_management: { edits: [] },
    });
    const { system, messages, thinking } = written(request);
    const reminder = { type: "text", text: "<system-reminder>\nbe brief\n</system-reminder>" };
    const said = [{ role: "user", content: [...(hello[0]?.content ?? []), reminder] }];
    assert.deepEqual([system, messages, thinking], [undefined, said, undefined]);
  });

  it("have a limit where other callers set none", () => {
    const request = { ...good({ messages: hello }), maxTokens: undefined };
    assert.equal(written(request)["max_tokens"], 4096);
    const thinking = { enabled: true, effort: undefined, budgetTokens: 2000 };
    assert.equal(written({ ...request, thinking })["max_tokens"], 6096);
  });
});

describe("requests that cannot be carried name the field", () => {
  const refused: readonly (readonly [field: string, body: object])[] = [
    ["max_tokens", { messages: hello, max_tokens: 0 }],
    ["messages", {}],
    ["messages[0].role", { messages: [{ role: "robot", content: "x" }] }],
    ["messages[0].content", { messages: [{ role: "user", content: 3 }] }],
    [
      "messages[0].content[0].type",
      { messages: [{ role: "user", content: [{ type: "container_upload" }] }] },
    ],
    [
      "messages[0].content[0].source.type",
      { messages: [{ role: "user", content: [{ type: "image", source: { type: "file" } }] }] },
    ],
    ["tools[0].type", { messages: hello, tools: [{ type: "web_search_20250305", name: "web_search" }] }],
    ["tool_choice.type", { messages: hello, tool_choice: { type: "maybe" } }],
    ["thinking.type", { messages: hello, thinking: { type: "much" } }],
    ["container", { messages: hello, container: "c" }],
    ["temperature", { messages: hello, temperature: "1" }],
  ];
  for (const [field, body] of refused) {
    it(field, () => {
      const result = read(body);
      assert.ok(isFailure(result));
      assert.equal(result.field, field);
    });
  }

  it("that other callers can set and Anthropic's servers do not know", () => {
    const request = good({ messages: hello });
    const fields = {
      seed: "seed",
      raw: "raw",
      format: "format",
      topLogprobs: "top_logprobs",
      temperature: "temperature",
    };
    const cases: readonly Partial<ChatRequest>[] = [
      { sampling: { ...request.sampling, seed: 1 } },
      { raw: { prompt: "x", suffix: undefined } },
      { format: { kind: "json" } },
      { topLogprobs: 0 },
      { sampling: { ...request.sampling, temperature: 1.5 } },
    ];
    const names = ["seed", "raw", "format", "top_logprobs", "temperature"];
    for (const [i, change] of cases.entries()) {
      const result = anthropicServer.writeChatRequest({ ...request, ...change, fields }, target);
      assert.ok(isFailure(result) && result.field === names[i], names[i]);
    }
    const harmless = { ...request.sampling, frequencyPenalty: 0, presencePenalty: 0, repetitionPenalty: 1 };
    assert.ok(!isFailure(anthropicServer.writeChatRequest({ ...request, sampling: harmless }, target)));
  });
});

function sse(events: readonly (readonly [string, object])[]): string {
  return events
    .map(([type, value]) => `event: ${type}\ndata: ${JSON.stringify({ type, ...value })}\n\n`)
    .join("");
}

const opening = {
  message: {
    id: "msg_1",
    type: "message",
    role: "assistant",
    content: [],
    model: "claude",
    stop_reason: null,
    stop_sequence: null,
    usage: {
      input_tokens: 25,
      cache_read_input_tokens: 100,
      cache_creation_input_tokens: 5,
      output_tokens: 1,
    },
  },
};
const events: readonly (readonly [string, object])[] = [
  ["message_start", opening],
  ["content_block_start", { index: 0, content_block: { type: "thinking", thinking: "", signature: "" } }],
  ["ping", {}],
  ["content_block_delta", { index: 0, delta: { type: "thinking_delta", thinking: "hm" } }],
  ["content_block_delta", { index: 0, delta: { type: "signature_delta", signature: "sig" } }],
  ["content_block_stop", { index: 0 }],
  ["content_block_start", { index: 1, content_block: { type: "text", text: "" } }],
  ["content_block_delta", { index: 1, delta: { type: "text_delta", text: "grüß 😀" } }],
  ["content_block_stop", { index: 1 }],
  [
    "content_block_start",
    { index: 2, content_block: { type: "tool_use", id: "t1", name: "add", input: {} } },
  ],
  ["content_block_delta", { index: 2, delta: { type: "input_json_delta", partial_json: '{"a":' } }],
  ["content_block_delta", { index: 2, delta: { type: "input_json_delta", partial_json: "1}" } }],
  ["content_block_stop", { index: 2 }],
  [
    "message_delta",
    { delta: { stop_reason: "tool_use", stop_sequence: null }, usage: { output_tokens: 15 } },
  ],
  ["message_stop", {}],
];
const stream = sse(events);
const type = "text/event-stream; charset=utf-8";
const tokens = { promptTokens: 130, cachedTokens: 100, completionTokens: 15, estimated: false };

function translating(out: KeptAnswer): AnswerReader {
  const request = good({ messages: hello, stream: true });
  return new TranslatingStream({
    server: anthropicServer,
    caller: anthropicMessages,
    request,
    context: testContext("claude"),
    out,
  });
}

function relaying(out: KeptAnswer): AnswerReader {
  const attempt = payload({ stream: true }).attempt(target, out);
  assert.ok(!isFailure(attempt));
  return attempt.reader;
}

function payload(
  changes: object = {},
  parts: Partial<ConstructorParameters<typeof MessagesPayload>[0]> = {},
): MessagesPayload {
  const body = Buffer.from(JSON.stringify({ model: "claude", max_tokens: 9, messages: hello, ...changes }));
  const envelope = readEnvelope(body);
  assert.ok(!isFailure(envelope));
  const translate = (): never => assert.fail("nothing is to be translated");
  return new MessagesPayload({
    operation: "messages",
    path: "/v1/messages",
    query: "beta=true",
    headers: { "anthropic-version": "2099-01-01", "anthropic-beta": ["a", "b"] },
    body,
    envelope,
    translate,
    ...parts,
  });
}

describe("streams of Anthropic's servers", () => {
  it("are read and written alike wherever they are cut", () => {
    const whole = feed(translating, { type, body: stream });
    assert.equal(whole.ended, true);
    assert.deepEqual(whole.tokens, tokens);
    const wanted = events
      .filter(([name]) => name !== "ping")
      .map(([name, value]) => {
        const usage = {
          input_tokens: 30,
          cache_creation_input_tokens: 0,
          cache_read_input_tokens: 100,
          output_tokens: 15,
        };
        if (name === "message_delta") return { type: name, ...value, usage };
        const first = { ...usage, input_tokens: 130, cache_read_input_tokens: 0, output_tokens: 0 };
        return name === "message_start"
          ? { type: name, message: { ...opening.message, usage: first } }
          : { type: name, ...value };
      });
    assert.deepEqual(whole.events, wanted);
    for (const at of cutsOf(stream)) {
      assert.equal(feed(translating, { type, body: stream, at }).text, whole.text, `cut at ${at}`);
    }
  });

  it("are passed on byte by byte, committed with the first content and counted, wherever they are cut", () => {
    const before = sse(events.slice(0, 3));
    for (const at of cutsOf(stream)) {
      const kept = feed(relaying, { type, body: stream, at });
      assert.equal(kept.sent, stream);
      assert.equal(kept.committedAfter, before, `cut at ${at}`);
      assert.deepEqual(kept.tokens, tokens);
      assert.deepEqual([kept.ended, kept.failure], [true, undefined]);
    }
  });

  it("that break off end in an error event, or can be tried again", () => {
    for (const make of [translating, relaying]) {
      for (let count = 1; count < events.length; count++) {
        for (const end of ["end", { cut: failure("upstream_unreachable") }] as const) {
          const kept = feed(make, { type, body: sse(events.slice(0, count)), end });
          assert.notEqual(kept.failure, undefined);
          assert.equal(kept.ended, count > 3, `after ${count} events`);
          if (kept.ended)
            assert.match(kept.sent, /event: error\ndata: \{"type":"error","error":\{"type":"[a-z_]+"/);
        }
      }
      const told = ["error", { error: { type: "overloaded_error", message: "Overloaded" } }] as const;
      const early = feed(make, { type, body: sse([...events.slice(0, 2), told]) });
      assert.deepEqual([early.ended, early.failure?.message], [false, "Overloaded"]);
      const late = feed(make, { type, body: sse([...events.slice(0, 8), told]) });
      assert.deepEqual([late.ended, late.failure?.message], [true, "Overloaded"]);
      assert.ok(!late.sent.includes("message_stop"));
    }
  });

  it("of Ollama's servers are written in Anthropic's events", () => {
    const request = good({ messages: hello, stream: true });
    const body =
      '{"message":{"content":"hi"},"done":false}\n{"message":{"content":""},"done":true,"done_reason":"length","eval_count":1}\n';
    const kept = feed(
      (out) =>
        new TranslatingStream({
          server: ollamaServer,
          caller: anthropicMessages,
          request,
          context: testContext(),
          out,
        }),
      { type: "application/x-ndjson", body },
    );
    const names = kept.events.map((event) => (event as { type: string }).type);
    assert.deepEqual(names, [
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
    assert.match(kept.sent, /"stop_reason":"max_tokens"/);
  });
});

describe("requests passed on", () => {
  it("take versions and trials to Anthropic's servers alone", () => {
    const theirs = payload().attempt(target, new KeptAnswer());
    assert.ok(!isFailure(theirs));
    assert.equal(theirs.path, "/v1/messages?beta=true");
    assert.deepEqual(theirs.headers.slice(1), [
      ["anthropic-version", "2099-01-01"],
      ["anthropic-beta", "a,b"],
    ]);
    const other = payload().attempt(
      { dialect: "openai", model: "q", serves: ["messages"] },
      new KeptAnswer(),
    );
    assert.ok(!isFailure(other));
    assert.equal(other.path, "/v1/messages");
    assert.deepEqual(other.headers.slice(1), [["anthropic-version", "2023-06-01"]]);
    assert.match(Buffer.from(other.body).toString(), /"model":"q"/);
  });

  it("count tokens only where the server does", () => {
    const count = payload({}, { operation: "count_tokens", path: "/v1/messages/count_tokens" });
    const refused = count.attempt({ dialect: "ollama", model: "m", serves: [] }, new KeptAnswer());
    assert.ok(isFailure(refused) && refused.code === "bad_request");
    assert.ok(
      !isFailure(
        count.attempt({ dialect: "openai", model: "m", serves: ["count_tokens"] }, new KeptAnswer()),
      ),
    );
  });
});

describe("whole answers", () => {
  const answer = {
    id: "msg_2",
    type: "message",
    role: "assistant",
    model: "claude",
    content: [
      { type: "thinking", thinking: "hm", signature: "sig" },
      { type: "text", text: "hi" },
      { type: "tool_use", id: "t", name: "f", input: { usage: { input_tokens: 9999 } } },
    ],
    stop_reason: "stop_sequence",
    stop_sequence: "END",
    usage: { input_tokens: 3, cache_read_input_tokens: 4, cache_creation_input_tokens: 0, output_tokens: 5 },
  };

  it("are written as they are read", () => {
    const request = good({ messages: hello });
    const kept = feed(
      (out) =>
        createWholeChatReader({
          server: anthropicServer,
          caller: anthropicMessages,
          request,
          context: testContext("claude"),
          out,
        }),
      { type: "application/json", body: JSON.stringify(answer) },
    );
    const content = answer.content.map((part) =>
      part.type === "text" ? { ...part, citations: null } : part,
    );
    assert.deepEqual(kept.lines[0], { ...answer, content });
  });

  it("are counted by their last usage when they are passed on", () => {
    const kept = feed(
      (out) => {
        const attempt = payload().attempt(target, out);
        assert.ok(!isFailure(attempt));
        return attempt.reader;
      },
      { type: "application/json", body: JSON.stringify(answer) },
    );
    assert.deepEqual(kept.tokens, {
      promptTokens: 7,
      cachedTokens: 4,
      completionTokens: 5,
      estimated: false,
    });
  });
});

it("errors have Anthropic's types and statuses", () => {
  const types = [
    ["bad_request", 400, "invalid_request_error"],
    ["unauthorized", 401, "authentication_error"],
    ["forbidden", 403, "permission_error"],
    ["model_not_found", 404, "not_found_error"],
    ["body_too_large", 413, "request_too_large"],
    ["rate_limited", 429, "rate_limit_error"],
    ["internal", 500, "api_error"],
    ["queue_full", 529, "overloaded_error"],
  ] as const;
  for (const [code, status, name] of types) {
    const answer = writeAnthropicFailure(failure(code, "why"), "id-1");
    assert.equal(answer.status, status);
    assert.deepEqual(JSON.parse(Buffer.concat(answer.body).toString()), {
      type: "error",
      error: { type: name, message: "why" },
      request_id: "id-1",
    });
  }
});
