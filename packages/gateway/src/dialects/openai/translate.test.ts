/** Golden tables of OpenAI's API against the neutral model: each field both ways, whole answers, streams cut everywhere. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyCut, play, RecordingSink } from "../../../test/support/answer-sink.ts";
import { jsonOf } from "../../../test/support/dialect-calls.ts";
import { failure, isFailure } from "../../core/errors.ts";
import type { Attempt, AttemptTarget, ChatDialect } from "../../core/forward.ts";
import { createManualClock } from "../../testing.ts";
import { defaultSampling, type ChatMessage, type ChatRequest, type InputPart } from "../chat/chat-request.ts";
import type { AnswerContext, CallerCodec } from "../chat/codec.ts";
import { ChatTranslation, EmbeddingsTranslation } from "../chat/translation.ts";
import { ollamaEmbed } from "../ollama/embeddings.ts";
import { openAiChat, openAiResponses } from "./openai-callers.ts";
import { openAiServer } from "./openai-server.ts";
import { readOpenAiChat } from "./read-chat.ts";
import { readResponses } from "./read-responses.ts";
import { writeOpenAiChatRequest } from "./write-chat-request.ts";

const target: AttemptTarget = { dialect: "openai", model: "m", serves: [] };
const context: AnswerContext = {
  requestId: "r1",
  model: "caller/m",
  estimate: { promptTokens: 9, maxCompletionTokens: undefined },
  clock: createManualClock(),
  receivedAt: 0,
};

const read = (body: object): ChatRequest => {
  const request = readOpenAiChat(Buffer.from(JSON.stringify({ model: "m", messages: [], ...body })));
  assert.ok(!isFailure(request), JSON.stringify(request));
  return request;
};

const write = (request: ChatRequest): Record<string, unknown> => {
  const made = writeOpenAiChatRequest(request, target);
  assert.ok(!isFailure(made), JSON.stringify(made));
  return JSON.parse(Buffer.from(made.body).toString()) as Record<string, unknown>;
};

describe("a chat read and written again keeps", () => {
  const schema = { type: "object", properties: { a: { type: "string" } } };
  const kept: Record<string, object> = {
    temperature: { temperature: 0.3 },
    "top_p, top_k, min_p": { top_p: 0.9, top_k: 40, min_p: 0.05 },
    penalties: { frequency_penalty: 0.1, presence_penalty: 0.2, repetition_penalty: 1.1 },
    seed: { seed: 7 },
    logit_bias: { logit_bias: { "50256": -100 } },
    max_tokens: { max_tokens: 5 },
    stop: { stop: ["a", "b"] },
    user: { user: "u" },
    logprobs: { logprobs: true, top_logprobs: 3 },
    reasoning_effort: { reasoning_effort: "high" },
    "reasoning_effort none": { reasoning_effort: "none" },
    json: { response_format: { type: "json_object" } },
    "json schema": {
      response_format: {
        type: "json_schema",
        json_schema: { name: "x", description: "d", schema, strict: true },
      },
    },
    tools: {
      tools: [
        { type: "function", function: { name: "f", description: "d", parameters: schema, strict: true } },
      ],
      tool_choice: { type: "function", function: { name: "f" } },
      parallel_tool_calls: false,
    },
    "tool choice": { tools: [{ type: "function", function: { name: "f" } }], tool_choice: "required" },
    stream: { stream: true, stream_options: { include_usage: true } },
    messages: {
      messages: [
        { role: "system", content: "Be brief" },
        { role: "user", content: "Hi" },
        {
          role: "assistant",
          content: null,
          tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: '{"a":1' } }],
        },
        { role: "tool", tool_call_id: "c1", content: "42" },
        { role: "assistant", content: "Done" },
      ],
    },
    pictures: {
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What?" },
            { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } },
            { type: "image_url", image_url: { url: "https://example.org/a.png" } },
          ],
        },
      ],
    },
  };
  for (const [name, body] of Object.entries(kept)) {
    test(name, () => assert.deepEqual(write(read(body)), { model: "m", messages: [], ...body }));
  }

  test("other spellings of the same", () => {
    assert.equal(write(read({ max_completion_tokens: 5 }))["max_tokens"], 5);
    assert.deepEqual(write(read({ stop: "a" }))["stop"], ["a"]);
    assert.deepEqual(
      write(read({ messages: [{ role: "developer", content: [{ type: "text", text: "x" }] }] }))["messages"],
      [{ role: "system", content: "x" }],
    );
    assert.deepEqual(write(read({ response_format: { type: "text" } })), { model: "m", messages: [] });
    const hints = {
      metadata: { a: "b" },
      service_tier: "flex",
      prompt_cache_key: "k",
      store: false,
      n: 1,
      modalities: ["text"],
      verbosity: "medium",
    };
    assert.deepEqual(write(read(hints)), { model: "m", messages: [] });
  });
});

describe("what no other API has is refused by name", () => {
  const refused: [body: object, field: string][] = [
    [{ n: 2 }, "n"],
    [{ store: true }, "store"],
    [{ modalities: ["text", "audio"] }, "modalities"],
    [{ audio: { voice: "x" } }, "audio"],
    [{ prediction: {} }, "prediction"],
    [{ web_search_options: {} }, "web_search_options"],
    [{ verbosity: "low" }, "verbosity"],
    [
      {
        messages: [
          { role: "user", content: [{ type: "image_url", image_url: { url: "data:image/svg+xml,<svg/>" } }] },
        ],
      },
      "messages[0].content[0].image_url.url",
    ],
    [{ functions: [] }, "functions"],
    [{ something_new: 1 }, "something_new"],
    [{ tools: [{ type: "custom", custom: {} }] }, "tools[0]"],
    [{ tool_choice: { type: "allowed_tools" } }, "tool_choice"],
    [{ response_format: { type: "grammar" } }, "response_format"],
    [
      { messages: [{ role: "user", content: [{ type: "input_audio", input_audio: {} }] }] },
      "messages[0].content[0]",
    ],
    [{ messages: [{ role: "robot", content: "" }] }, "messages[0].role"],
    [{ messages: [{ role: "tool", content: "x" }] }, "messages[0].tool_call_id"],
    [{ temperature: "hot" }, "temperature"],
    [{ messages: {} }, "messages"],
  ];
  for (const [body, field] of refused) {
    test(`${field} of ${JSON.stringify(body)}`, () => {
      const request = readOpenAiChat(Buffer.from(JSON.stringify({ model: "m", messages: [], ...body })));
      assert.ok(isFailure(request), JSON.stringify(request));
      assert.equal(request.code, "bad_request");
      assert.equal(request.field, field);
    });
  }
});

test("pictures in the results of tools are shown by the user behind the results", () => {
  const url = "https://x/a.png";
  const image = { kind: "image", source: { kind: "url", url } } as const;
  const text = (said: string) => ({ kind: "text", text: said }) as const;
  const result = (callId: string, content: readonly InputPart[]): ChatMessage => {
    return { role: "tool", callId, name: undefined, content, isError: false };
  };
  const picture = { type: "image_url", image_url: { url } };
  const write = (messages: readonly ChatMessage[]): unknown => {
    const made = writeOpenAiChatRequest({ ...read({}), messages }, target);
    assert.ok(!isFailure(made));
    return (JSON.parse(Buffer.from(made.body).toString()) as { messages: unknown }).messages;
  };
  const results = [result("a", [text("seen"), image]), result("b", [image]), result("c", [text("none")])];
  const told = [
    { role: "tool", tool_call_id: "a", content: "seen" },
    { role: "tool", tool_call_id: "b", content: "The result is shown in the user's message that follows." },
    { role: "tool", tool_call_id: "c", content: "none" },
  ];
  assert.deepEqual(write(results), [...told, { role: "user", content: [picture, picture] }]);
  assert.deepEqual(write([...results, { role: "user", content: [text("and?")] }]), [
    ...told,
    { role: "user", content: [picture, picture, { type: "text", text: "and?" }] },
  ]);
  assert.deepEqual(write([...results, { role: "assistant", content: [text("well")] }]), [
    ...told,
    { role: "user", content: [picture, picture] },
    { role: "assistant", content: "well" },
  ]);
});

test("the limit of tokens by its later name where the server's make wants it, or is unknown and likely to know it", () => {
  const later = "max_completion_tokens";
  for (const [make, serves, name] of [
    [undefined, [], "max_tokens"],
    [undefined, ["responses"], later],
    ["other", ["responses"], later],
    ["other", [], "max_tokens"],
    ["openai", [], later],
    ["vllm", ["responses"], "max_tokens"],
    ["ollama", ["responses"], "max_tokens"],
  ] as const) {
    const known = make === undefined ? {} : { make };
    const made = writeOpenAiChatRequest(read({ max_tokens: 5 }), { ...target, serves, ...known });
    assert.ok(!isFailure(made));
    const body = JSON.parse(Buffer.from(made.body).toString()) as object;
    assert.deepEqual(body, { model: "m", messages: [], [name]: 5 });
  }
});

test("what the model declined to say is what it said", () => {
  const messages = [{ role: "assistant", content: null, refusal: "No" }];
  assert.deepEqual(write(read({ messages }))["messages"], [{ role: "assistant", content: "No" }]);
});

test("a text to go on with is a completion", () => {
  const raw = { prompt: "Once", suffix: "end" };
  const made = writeOpenAiChatRequest({ ...read({ max_tokens: 3 }), raw, sampling: defaultSampling }, target);
  assert.ok(!isFailure(made));
  assert.equal(made.path, "/v1/completions");
  assert.deepEqual(JSON.parse(Buffer.from(made.body).toString()), { model: "m", ...raw, max_tokens: 3 });
  const told = writeOpenAiChatRequest({ ...read({ logprobs: true }), raw }, target);
  assert.ok(isFailure(told) && told.field === "logprobs");
});

test("thinking in words of other APIs", () => {
  const effort = (thinking: ChatRequest["thinking"]): unknown =>
    write({ ...read({}), thinking })["reasoning_effort"];
  const enabled = { enabled: true, effort: undefined };
  assert.equal(effort({ ...enabled, budgetTokens: undefined }), "medium");
  assert.deepEqual(
    [1024, 4096, 16_384].map((budgetTokens) => effort({ ...enabled, budgetTokens })),
    ["low", "medium", "high"],
  );
  for (const most of ["xhigh", "max"]) {
    const thinking = { enabled: true, effort: most, budgetTokens: undefined };
    assert.equal(effort(thinking), "high");
    const toOpenAi = writeOpenAiChatRequest({ ...read({}), thinking }, { ...target, make: "openai" });
    assert.ok(!isFailure(toOpenAi) && Buffer.from(toOpenAi.body).includes('"reasoning_effort":"xhigh"'));
  }
  assert.equal(effort({ enabled: false, effort: undefined, budgetTokens: undefined }), "none");
});

/** A server's answer through its reader and a caller's writer. */
function translate(
  caller: CallerCodec,
  body: object,
  sink: RecordingSink,
  dialect: ChatDialect = "openai",
): Attempt {
  const translation = new ChatTranslation({
    caller,
    servers: { openai: openAiServer },
    body: Buffer.from(JSON.stringify(body)),
    context,
  });
  const attempt = translation.attempt({ ...target, dialect }, sink);
  assert.ok(!isFailure(attempt), JSON.stringify(attempt));
  return attempt;
}

const chat = { model: "caller/m", messages: [{ role: "user", content: "Hi" }] };
const usage = {
  prompt_tokens: 11,
  completion_tokens: 5,
  total_tokens: 16,
  prompt_tokens_details: { cached_tokens: 4 },
};
const call = { id: "c1", type: "function", function: { name: "f", arguments: '{"a":1}' } };
const whole = {
  id: "x",
  choices: [
    {
      index: 0,
      message: { role: "assistant", content: "Hello", reasoning_content: "Hm", tool_calls: [call] },
      logprobs: null,
      finish_reason: "tool_calls",
    },
  ],
  usage,
};

const piece = (delta: object, more: object = {}): string =>
  `data: ${JSON.stringify({ id: "x", choices: [{ index: 0, delta, finish_reason: null, ...more }] })}\n\n`;
const streamed = [
  piece({ role: "assistant", content: "" }),
  piece({ reasoning: "Hm" }),
  piece({ content: "Grüße 🙂" }),
  piece({ tool_calls: [{ index: 0, id: "c1", type: "function", function: { name: "f", arguments: "" } }] }),
  piece({ tool_calls: [{ index: 0, function: { arguments: '{"a"' } }] }),
  piece({ tool_calls: [{ index: 0, function: { arguments: ":1}" } }] }),
  piece({ tool_calls: [{ index: 1, id: "c2", function: { name: "g", arguments: "{}" } }] }),
  piece({}, { finish_reason: "tool_calls" }),
  `data: ${JSON.stringify({ id: "x", choices: [], usage })}\n\n`,
  "data: [DONE]\n\n",
];

describe("answers of chats", () => {
  test("whole", () => {
    const sink = new RecordingSink();
    play(translate(openAiChat, chat, sink).reader, [Buffer.from(JSON.stringify(whole))], sink, {
      type: "application/json",
    });
    const answer = JSON.parse(sink.text) as Record<string, unknown>;
    const { choices, usage: tokens } = whole;
    assert.deepEqual(answer["choices"], [
      { ...choices[0], message: { ...choices[0]?.message, refusal: null } },
    ]);
    assert.deepEqual(answer["usage"], tokens);
    assert.deepEqual(
      [answer["id"], answer["object"], answer["model"]],
      ["chatcmpl-r1", "chat.completion", "caller/m"],
    );
    assert.deepEqual(sink.tokens, {
      promptTokens: 11,
      cachedTokens: 4,
      completionTokens: 5,
      estimated: false,
    });
  });

  test("whose text comes in parts", () => {
    const parts = [
      { type: "thinking", thinking: [] },
      { type: "text", text: "Hel" },
      { type: "text", text: "lo" },
    ];
    const body = { choices: [{ message: { content: parts }, finish_reason: "stop" }] };
    const sink = new RecordingSink();
    const { reader } = translate(openAiChat, chat, sink);
    play(reader, [Buffer.from(JSON.stringify(body))], sink, { type: "application/json" });
    assert.match(sink.text, /"content":"Hello"/);
  });

  test("whole, unreadable or an error inside of a 200: another endpoint is tried", () => {
    const told = '{"error":{"message":"x"}}';
    for (const body of ["", "{}", "<p>", '{"choices":[]}', told, JSON.stringify(whole).slice(0, 50)]) {
      const sink = new RecordingSink();
      play(translate(openAiChat, chat, sink).reader, [Buffer.from(body)], sink, { type: "application/json" });
      assert.equal(sink.failed?.code, body === told ? "model_failed" : "bad_upstream_answer", body);
    }
  });

  test("streamed, cut everywhere", () => {
    const body = { ...chat, stream: true, stream_options: { include_usage: true } };
    for (const pieces of everyCut(streamed.join(""))) {
      const sink = new RecordingSink();
      play(translate(openAiChat, body, sink).reader, pieces, sink);
      const chunks = sink.events.slice(0, -2) as {
        choices: { delta: object; finish_reason: string | null }[];
      }[];
      assert.deepEqual(
        chunks.map(({ choices }) => choices[0]?.delta),
        [
          { role: "assistant", content: "" },
          { reasoning_content: "Hm" },
          { content: "Grüße 🙂" },
          { tool_calls: [{ index: 0, id: "c1", type: "function", function: { name: "f", arguments: "" } }] },
          { tool_calls: [{ index: 0, function: { arguments: '{"a"' } }] },
          { tool_calls: [{ index: 0, function: { arguments: ":1}" } }] },
          { tool_calls: [{ index: 1, id: "c2", type: "function", function: { name: "g", arguments: "" } }] },
          { tool_calls: [{ index: 1, function: { arguments: "{}" } }] },
          {},
        ],
      );
      assert.equal(chunks.at(-1)?.choices[0]?.finish_reason, "tool_calls");
      assert.deepEqual((sink.events.at(-2) as { usage: object }).usage, usage);
      assert.equal(sink.events.at(-1), "[DONE]");
      assert.equal(sink.events.indexOf("[DONE]"), sink.events.length - 1);
      assert.ok(!sink.held.includes("Hm"));
    }
  });

  test("streamed, broken: a failure before the first content, an event after it", () => {
    const broken = failure("bad_upstream_answer", "cut");
    for (const count of [1, 3, 5, 8]) {
      for (const ending of ["end", broken] as const) {
        const sink = new RecordingSink();
        const text = streamed.slice(0, count).join("");
        play(translate(openAiChat, { ...chat, stream: true }, sink).reader, [Buffer.from(text)], sink, {
          ending,
        });
        if (count === 1) {
          assert.ok(sink.failed);
          continue;
        }
        assert.equal(sink.broken?.code, "bad_upstream_answer");
        assert.ok("error" in (sink.events.at(-1) as object));
        assert.equal(sink.tokens?.estimated, true);
      }
    }
  });

  test("refusals in the caller's words", () => {
    const { reader } = translate(openAiChat, chat, new RecordingSink());
    const body = Buffer.from('{"object":"error","message":"too long","code":400}');
    const answer = reader.refused({ status: 400, headers: {}, body });
    assert.equal(answer.status, 400);
    assert.equal((jsonOf(answer) as { error: { message: string } }).error.message, "too long");
  });
});

describe("responses, translated", () => {
  const asked = { model: "caller/m", input: "Hi" };

  test("state on the server is refused by name", () => {
    const refused: [object, string][] = [
      [{ store: true }, "store"],
      [{ previous_response_id: "r" }, "previous_response_id"],
      [{ background: true }, "background"],
      [{ conversation: "c" }, "conversation"],
      [{ prompt: { id: "p" } }, "prompt"],
      [{ truncation: "auto" }, "truncation"],
      [{ tools: [{ type: "web_search" }] }, "tools[0]"],
      [{ input: [{ type: "item_reference", id: "x" }] }, "input[0]"],
      [{ input: [{ role: "user", content: [{ type: "input_file", file_id: "f" }] }] }, "input[0].content[0]"],
      [
        { input: [{ role: "user", content: [{ type: "input_image", file_id: "f" }] }] },
        "input[0].content[0].file_id",
      ],
    ];
    for (const [body, field] of refused) {
      const request = readResponses(Buffer.from(JSON.stringify({ ...asked, ...body })));
      assert.ok(isFailure(request), field);
      assert.equal(request.field, field);
    }
    const unset = {
      store: false,
      background: false,
      previous_response_id: null,
      truncation: "disabled",
      include: [],
    };
    assert.ok(!isFailure(readResponses(Buffer.from(JSON.stringify({ ...asked, ...unset })))));
  });

  test("input, instructions, tools and formats become a chat", () => {
    const sink = new RecordingSink();
    const schema = { type: "object" };
    const { body } = translate(
      openAiResponses,
      {
        ...asked,
        instructions: "Be brief",
        input: [
          { role: "user", content: [{ type: "input_text", text: "Hi" }] },
          { type: "reasoning", id: "rs", summary: [] },
          {
            type: "message",
            role: "assistant",
            content: [{ type: "output_text", text: "Well", annotations: [] }],
          },
          { type: "function_call", call_id: "c1", name: "f", arguments: "{}" },
          { type: "function_call_output", call_id: "c1", output: "42" },
        ],
        tools: [{ type: "function", name: "f", parameters: schema, strict: true }],
        tool_choice: { type: "function", name: "f" },
        text: { format: { type: "json_schema", name: "n", schema, strict: true } },
        reasoning: { effort: "low" },
        max_output_tokens: 9,
      },
      sink,
    );
    assert.deepEqual(JSON.parse(Buffer.from(body).toString()), {
      model: "m",
      messages: [
        { role: "system", content: "Be brief" },
        { role: "user", content: "Hi" },
        {
          role: "assistant",
          content: "Well",
          tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: "{}" } }],
        },
        { role: "tool", tool_call_id: "c1", content: "42" },
      ],
      tools: [{ type: "function", function: { name: "f", parameters: schema, strict: true } }],
      tool_choice: { type: "function", function: { name: "f" } },
      response_format: { type: "json_schema", json_schema: { name: "n", schema, strict: true } },
      reasoning_effort: "low",
      max_tokens: 9,
    });
  });

  test("whole", () => {
    const sink = new RecordingSink();
    play(translate(openAiResponses, asked, sink).reader, [Buffer.from(JSON.stringify(whole))], sink, {
      type: "application/json",
    });
    const answer = JSON.parse(sink.text) as { status: string; output: { type: string }[]; usage: object };
    assert.equal(answer.status, "completed");
    assert.deepEqual(
      answer.output.map(({ type }) => type),
      ["reasoning", "message", "function_call"],
    );
    assert.deepEqual(answer.usage, {
      input_tokens: 11,
      input_tokens_details: { cache_write_tokens: 0, cached_tokens: 4 },
      output_tokens: 5,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 16,
    });
  });

  test("streamed: items open and close in order, and the last event repeats them", () => {
    for (const pieces of everyCut(streamed.join(""))) {
      const sink = new RecordingSink();
      play(translate(openAiResponses, { ...asked, stream: true }, sink).reader, pieces, sink);
      const events = sink.events as {
        type: string;
        sequence_number: number;
        response?: { output: object[] };
        item?: object;
      }[];
      assert.deepEqual(
        events.map(({ type }) => type.replace("response.", "")),
        [
          "created",
          "in_progress",
          "output_item.added",
          "reasoning_text.delta",
          "reasoning_text.done",
          "output_item.done",
          "output_item.added",
          "content_part.added",
          "output_text.delta",
          "output_text.done",
          "content_part.done",
          "output_item.done",
          "output_item.added",
          "function_call_arguments.delta",
          "function_call_arguments.delta",
          "function_call_arguments.done",
          "output_item.done",
          "output_item.added",
          "function_call_arguments.delta",
          "function_call_arguments.done",
          "output_item.done",
          "completed",
        ],
      );
      assert.deepEqual(
        events.map(({ sequence_number: at }) => at),
        events.map((_, i) => i),
      );
      const items = events.filter(({ type }) => type === "response.output_item.done").map(({ item }) => item);
      assert.deepEqual(events.at(-1)?.response?.output, items);
    }
  });

  test("streamed, broken or short", () => {
    const sink = new RecordingSink();
    const text = streamed.slice(0, 3).join("");
    play(translate(openAiResponses, { ...asked, stream: true }, sink).reader, [Buffer.from(text)], sink);
    assert.equal((sink.events.at(-1) as { type: string }).type, "error");
    const short = new RecordingSink();
    const length = `${piece({ content: "x" })}${piece({}, { finish_reason: "length" })}data: [DONE]\n\n`;
    play(translate(openAiResponses, { ...asked, stream: true }, short).reader, [Buffer.from(length)], short);
    const last = short.events.at(-1) as { type: string; response: { incomplete_details: object } };
    assert.deepEqual(
      [last.type, last.response.incomplete_details],
      ["response.incomplete", { reason: "max_output_tokens" }],
    );
  });
});

test("embeddings for callers of another dialect", () => {
  const embed = (answer: string, body: object = {}): RecordingSink => {
    const sink = new RecordingSink();
    const translation = new EmbeddingsTranslation({
      caller: ollamaEmbed,
      servers: { openai: openAiServer },
      body: Buffer.from(JSON.stringify({ model: "m", input: ["a", "b"], dimensions: 2, ...body })),
      context,
    });
    const attempt = translation.attempt(target, sink);
    assert.ok(!isFailure(attempt), JSON.stringify(attempt));
    assert.deepEqual(JSON.parse(Buffer.from(attempt.body).toString()), {
      model: "m",
      input: ["a", "b"],
      dimensions: 2,
      encoding_format: "float",
    });
    play(attempt.reader, [Buffer.from(answer)], sink, { type: "application/json" });
    return sink;
  };
  const base64 = Buffer.from(new Float32Array([0.5, 0.25]).buffer).toString("base64");
  const data = [
    { index: 1, embedding: base64 },
    { index: 0, embedding: [1, 2] },
  ];
  const good = embed(JSON.stringify({ data, usage: { prompt_tokens: 4 } }));
  assert.deepEqual((JSON.parse(good.text) as { embeddings: number[][] }).embeddings, [
    [1, 2],
    [0.5, 0.25],
  ]);
  assert.equal(good.tokens?.promptTokens, 4);
  for (const bad of ["", "{}", '{"data":[1]}', '{"data":[{"embedding":1}]}'])
    assert.ok(embed(bad).failed, bad);
});
