/** Bytes between OpenAI's callers and servers: what is changed on the way, and what becomes of broken streams, however they are cut. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { httpCall, jsonOf } from "../../../test/support/dialect-calls.ts";
import { everyCut, play, RecordingSink, type Ending } from "../../../test/support/answer-sink.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { Attempt, AttemptTarget, ForwardPayload } from "../../core/forward.ts";
import type { RequestWith } from "../../core/request.ts";
import { createManualClock } from "../../testing.ts";
import { JsonThreads } from "../json/json-threads.ts";
import { createOpenAiRoutes } from "./create-openai-routes.ts";
import { openAiServer } from "./openai-server.ts";

const routes = createOpenAiRoutes({
  clock: createManualClock(),
  defaults: { requestTimeoutMs: 60_000 },
  servers: { openai: openAiServer },
  jsonThreads: new JsonThreads({ clock: createManualClock() }),
});

const vllm: AttemptTarget = { dialect: "openai", model: "m", serves: [] };

function request(path: string, body: unknown): RequestWith<ForwardPayload> | Failure {
  const route = routes.find((each) => each.path === path);
  assert.ok(route);
  return route.handle(httpCall(body)) as RequestWith<ForwardPayload> | Failure;
}

function attempt(path: string, body: unknown, sink: RecordingSink, target = vllm): Attempt {
  const made = request(path, body);
  assert.ok(!isFailure(made), JSON.stringify(made));
  const attempted = made.payload.attempt(target, sink);
  assert.ok(!isFailure(attempted), JSON.stringify(attempted));
  return attempted;
}

const chat = "/v1/chat/completions";
const asked = { model: "m", messages: [{ role: "user", content: "Hi" }], stream: true };

describe("what goes to the server", () => {
  const sent = (body: unknown, target = vllm, path = chat): unknown => {
    const { body: bytes } = attempt(path, body, new RecordingSink(), target);
    return JSON.parse(Buffer.from(bytes).toString());
  };

  test("the caller's bytes, untouched, where nothing is to be changed", () => {
    const text = `{ "model" : "m",\n"messages":[{"role":"user","content":"Grüße \\u00e9"}], "x":1e3 }`;
    const { body, path, headers, method } = attempt(chat, text, new RecordingSink());
    assert.equal(Buffer.from(body).toString(), text);
    assert.deepEqual([method, path], ["POST", chat]);
    assert.deepEqual(headers, [
      ["content-type", "application/json"],
      ["accept", "application/json"],
    ]);
  });

  test("the model's name on the server, in place", () => {
    const renamed = { ...vllm, model: 'llama3.2:latest"' };
    const body = { messages: [{ model: "m" }], model: "m", n: 2 };
    assert.deepEqual(sent(body, renamed), { ...body, model: renamed.model });
  });

  test("streams ask for usage, whatever the caller says of it", () => {
    const wanted = { stream_options: { include_usage: true } };
    assert.deepEqual(sent(asked), { ...asked, ...wanted });
    assert.deepEqual(sent({ ...asked, stream_options: null }), { ...asked, ...wanted });
    assert.deepEqual(sent({ ...asked, stream_options: {} }), { ...asked, ...wanted });
    assert.deepEqual(sent({ ...asked, stream_options: { include_usage: false, x: 1 } }), {
      ...asked,
      stream_options: { include_usage: true, x: 1 },
    });
    assert.deepEqual(sent({ ...asked, ...wanted }, { ...vllm, model: "n" }), {
      ...asked,
      ...wanted,
      model: "n",
    });
    assert.deepEqual(sent({ ...asked, stream: false }), { ...asked, stream: false });
  });

  test("each address goes to its own, for Ollama too", () => {
    for (const path of [chat, "/v1/completions", "/v1/embeddings"]) {
      for (const dialect of ["openai", "ollama"] as const) {
        assert.equal(attempt(path, { model: "m" }, new RecordingSink(), { ...vllm, dialect }).path, path);
      }
    }
    const serves: AttemptTarget = { ...vllm, dialect: "ollama", serves: ["responses"] };
    assert.equal(attempt("/v1/responses", { model: "m" }, new RecordingSink(), serves).path, "/v1/responses");
  });

  test("what Anthropic's API lacks is refused", () => {
    for (const path of ["/v1/completions", "/v1/embeddings"]) {
      const made = request(path, { model: "m" });
      assert.ok(!isFailure(made));
      const refused = made.payload.attempt({ ...vllm, dialect: "anthropic" }, new RecordingSink());
      assert.ok(isFailure(refused));
      assert.match(refused.message, /^model: .* Anthropic's API, which has no (completions|embeddings)$/);
      assert.equal(refused.field, "model");
    }
  });
});

describe("what the gateway reads of a body", () => {
  test("bad bodies name the field", () => {
    const cases: [body: string, code: string, field: string | undefined][] = [
      ["", "invalid_json", undefined],
      ["[]", "invalid_json", undefined],
      ['{"model":"m"', "invalid_json", undefined],
      ["{}", "bad_request", "model"],
      ['{"model":""}', "bad_request", "model"],
      ['{"model":7}', "bad_request", "model"],
      ['{"model":"m","stream":"yes"}', "bad_request", "stream"],
      ['{"model":"m","Model":"n"}', "bad_request", "model"],
    ];
    for (const [body, code, field] of cases) {
      const refused = request(chat, body);
      assert.ok(isFailure(refused), body);
      assert.deepEqual([refused.code, refused.field], [code, field], body);
    }
  });

  test("errors have OpenAI's shape", () => {
    const route = routes[0];
    assert.ok(route);
    const reason = { ...failure("bad_request", "model: expected the name of a model"), field: "model" };
    assert.deepEqual(jsonOf(route.writeFailure(reason, "1")), {
      error: { message: reason.message, type: "invalid_request_error", param: "model", code: "bad_request" },
    });
  });

  test("sizes, streams and what may be sent twice", () => {
    const of = (path: string, body: object) => {
      const made = request(path, { model: "m", ...body });
      assert.ok(!isFailure(made));
      return made.payload;
    };
    assert.deepEqual(of(chat, { max_tokens: 7, x: "y".repeat(374) }).estimate, {
      promptTokens: 103,
      maxCompletionTokens: 7,
    });
    assert.equal(of(chat, { max_completion_tokens: 9, max_tokens: 7 }).estimate.maxCompletionTokens, 9);
    assert.equal(of(chat, {}).estimate.maxCompletionTokens, undefined);
    assert.deepEqual(
      [of(chat, { stream: true }).stream, of("/v1/embeddings", { stream: true }).stream],
      [true, false],
    );
    const repeatable: [string, object, boolean][] = [
      [chat, {}, true],
      [chat, { store: true }, false],
      ["/v1/responses", {}, false],
      ["/v1/responses", { store: false }, true],
      ["/v1/responses", { store: false, background: true }, false],
      ["/v1/responses", { store: false, previous_response_id: "r" }, false],
    ];
    for (const [path, body, expected] of repeatable) assert.equal(of(path, body).repeatable, expected);
  });
});

const chunk = (delta: object, more: object = {}): string =>
  `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: null }], usage: null, ...more })}\n\n`;
const opening = chunk({ role: "assistant", content: "" });
const hello = chunk({ content: 'Grüße "usage":{} 🙂' });
const told = {
  prompt_tokens: 11,
  completion_tokens: 5,
  total_tokens: 16,
  prompt_tokens_details: { cached_tokens: 4 },
};
const usage = chunk({}, { choices: [], usage: told });
const done = "data: [DONE]\n\n";

describe("streams, cut everywhere", () => {
  const run = (text: string, body: object, ending: Ending, check: (sink: RecordingSink) => void): void => {
    for (const pieces of everyCut(text)) {
      const sink = new RecordingSink();
      play(attempt(chat, body, sink).reader, pieces, sink, { ending });
      check(sink);
    }
  };
  const cut = failure("bad_upstream_answer", "cut");
  const withUsage = { ...asked, stream_options: { include_usage: true } };

  test("usage beside the text, which Ollama's completions send as zeros, is left out where nobody asked for it", () => {
    const zeros = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
    const event = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
    const choices = [{ index: 0, text: "a", finish_reason: null }];
    for (const [sent, passed] of [
      [event({ id: "c", choices, usage: zeros }), event({ id: "c", choices })],
      [event({ usage: zeros, id: "c", choices }), event({ id: "c", choices })],
      [event({ id: "c", usage: zeros, choices }), event({ id: "c", choices })],
      [
        'data: {"choices":[{"text":"a"}] , "usage" : {"prompt_tokens":0} }\n\n',
        'data: {"choices":[{"text":"a"}]  }\n\n',
      ],
    ] as const) {
      run(sent + sent + usage + done, asked, "end", (sink) => {
        assert.equal(sink.text, passed + passed + done);
        assert.equal(sink.tokens?.completionTokens, told.completion_tokens);
        assert.equal(sink.tokens?.estimated, false);
      });
      run(sent + sent + usage + done, withUsage, "end", (sink) => {
        assert.equal(sink.text, sent + sent + usage + done);
      });
    }
  });

  test("the bytes pass unchanged; the usage that the caller did not ask for stays", () => {
    run(opening + hello + usage + done, asked, "end", (sink) => {
      assert.equal(sink.text, opening + hello + done);
      assert.equal(sink.held, opening);
      assert.deepEqual(sink.tokens, {
        promptTokens: 11,
        cachedTokens: 4,
        completionTokens: 5,
        estimated: false,
      });
      assert.deepEqual([sink.ended, sink.broken], [true, undefined]);
    });
    run(opening + hello + usage + done, withUsage, "end", (sink) => {
      assert.equal(sink.text, opening + hello + usage + done);
    });
  });

  test("comments, CRLF and a missing last line end", () => {
    const text = `: ping\r\n\r\n${hello.replaceAll("\n", "\r\n")}: ping\n\ndata: [DONE]`;
    run(text, asked, "end", (sink) => {
      assert.equal(sink.text, text);
      assert.equal(sink.ended, true);
    });
  });

  test("tokens are guessed where the server tells none", () => {
    run(opening + hello + done, asked, "end", ({ tokens }) => {
      assert.equal(tokens?.estimated, true);
      assert.equal(
        tokens?.completionTokens,
        Math.ceil(Buffer.byteLength(JSON.stringify('Grüße "usage":{} 🙂').slice(1, -1)) / 4),
      );
    });
  });

  test("a stream without its last word fails before the first content, and tells of it afterwards", () => {
    for (const ending of ["end", cut] as const) {
      run(opening, asked, ending, (sink) => {
        assert.equal(sink.failed?.code, "bad_upstream_answer");
        assert.equal(sink.isCommitted, false);
      });
      run(opening + hello + opening.slice(0, 40), asked, ending, (sink) => {
        assert.equal(sink.broken?.code, "bad_upstream_answer");
        assert.equal(sink.events.length, 3);
        assert.ok(sink.text.startsWith(opening + hello));
        assert.ok("error" in (sink.events[2] as object));
        assert.equal(sink.tokens?.estimated, true);
      });
    }
  });

  test("what breaks behind the last word is no failure", () => {
    run(hello + done, asked, cut, (sink) => assert.deepEqual([sink.ended, sink.broken], [true, undefined]));
  });

  test("errors inside of a 200: none is followed by [DONE]", () => {
    const error = `data: {"error":{"message":"CUDA out of memory","type":"x","code":500}}\n\n`;
    run(opening + error + done, asked, "end", (sink) =>
      assert.equal(sink.failed?.message, "CUDA out of memory"),
    );
    run(hello + error + done, asked, "end", (sink) => {
      assert.equal(sink.text, hello + error);
      assert.equal(sink.broken?.message, "CUDA out of memory");
    });
    const inChoice = `data: {"choices":[{"delta":{},"finish_reason":"error","error":{"message":"gone"}}]}\n\n`;
    run(hello + inChoice + done, asked, "end", (sink) => assert.equal(sink.broken?.message, "gone"));
    const harmless = chunk(
      { content: "x" },
      { error: null, prompt_filter_results: [{ error: { code: "y" } }] },
    );
    run(harmless + done, asked, "end", (sink) => assert.equal(sink.text, harmless + done));
  });

  test("an event that cannot be read", () => {
    run(`${opening}data: {"id":"c","cho\n\n${done}`, asked, "end", (sink) => assert.ok(sink.failed));
    run(`${hello}data: oops\n\n${done}`, asked, "end", (sink) => {
      assert.ok(sink.broken);
      assert.ok(!sink.text.includes("oops") && !sink.text.includes("[DONE]"));
    });
  });

  test("reasoning, tool calls and refusals are content", () => {
    const contents = [
      { reasoning_content: "Hm" },
      { reasoning: "Hm" },
      { refusal: "No" },
      { tool_calls: [{ index: 0, id: "a", function: { name: "f", arguments: "" } }] },
      { function_call: { name: "f" } },
    ];
    for (const delta of contents) {
      run(opening + chunk(delta) + done, asked, "end", (sink) => assert.equal(sink.held, opening));
    }
    run(opening + chunk({ content: "", tool_calls: [] }) + done, asked, "end", (sink) => {
      assert.ok(sink.held.endsWith(chunk({ content: "", tool_calls: [] })));
    });
  });
});

test("an event beyond the bound ends the stream with an error", () => {
  const sink = new RecordingSink();
  const { reader } = attempt(chat, asked, sink);
  play(reader, [Buffer.from(hello), Buffer.alloc(5 * 1024 * 1024, "x")], sink);
  assert.match(sink.broken?.message ?? "", /more than 4194304 bytes/);
});

test("another form than was asked for is a failure", () => {
  const streamed = new RecordingSink();
  attempt(chat, asked, streamed).reader.head(200, { "content-type": "application/json" });
  assert.equal(streamed.failed?.code, "bad_upstream_answer");
  const whole = new RecordingSink();
  attempt(chat, { ...asked, stream: false }, whole).reader.head(200, { "content-type": "text/event-stream" });
  assert.equal(whole.failed?.code, "bad_upstream_answer");
});

describe("whole answers", () => {
  const answer = JSON.stringify({
    id: "x",
    choices: [{ message: { content: '"usage":{"prompt_tokens":9' } }],
    usage: told,
  });

  test("pass as they come, with their usage", () => {
    for (const pieces of everyCut(answer)) {
      const sink = new RecordingSink();
      const { reader } = attempt(chat, { ...asked, stream: false }, sink);
      play(reader, pieces, sink, { type: "application/json" });
      assert.equal(sink.text, answer);
      assert.equal(sink.held, "");
      assert.deepEqual(sink.tokens, {
        promptTokens: 11,
        cachedTokens: 4,
        completionTokens: 5,
        estimated: false,
      });
    }
  });

  test("embeddings tell no completion; large answers are looked at from their end", () => {
    const sink = new RecordingSink();
    const { reader } = attempt("/v1/embeddings", { model: "m", input: "x" }, sink);
    const body = `{"data":[${"0,".repeat(100_000)}0],"usage":{"prompt_tokens":3,"total_tokens":3}}`;
    play(reader, [Buffer.from(body.slice(0, 90_000)), Buffer.from(body.slice(90_000))], sink, {
      type: "application/json",
    });
    assert.deepEqual(sink.tokens, {
      promptTokens: 3,
      cachedTokens: 0,
      completionTokens: 0,
      estimated: false,
    });
  });

  test("a cut body is a failure, which aborts the connection", () => {
    const sink = new RecordingSink();
    const { reader } = attempt(chat, { ...asked, stream: false }, sink);
    play(reader, [Buffer.from(answer.slice(0, 9))], sink, {
      type: "application/json",
      ending: failure("bad_upstream_answer", "cut"),
    });
    assert.equal(sink.failed?.message, "cut");
  });

  test("headers of the server's own account stay behind", () => {
    const sink = new RecordingSink();
    attempt(chat, { ...asked, stream: false }, sink).reader.head(200, {
      "content-type": "application/json",
      "x-request-id": "1",
      "x-ratelimit-remaining-tokens": "5",
      "set-cookie": "a",
      "openai-processing-ms": "12",
    });
    assert.deepEqual(sink.headers, [
      ["content-type", "application/json"],
      ["openai-processing-ms", "12"],
    ]);
  });
});

test("refusals: the server's own words, but not on the gateway's account", () => {
  const { reader } = attempt(chat, asked, new RecordingSink());
  const json = { "content-type": "application/json", "retry-after": "3" };
  const body = Buffer.from('{"error":{"message":"slow down sk-123"}}');
  const limited = reader.refused({ status: 429, headers: json, body });
  assert.deepEqual([limited.status, Buffer.concat(limited.body).toString()], [429, body.toString()]);
  assert.deepEqual(limited.headers.at(-1), ["retry-after", "3"]);
  for (const status of [401, 402, 403, 302]) {
    const own = reader.refused({ status, headers: json, body });
    assert.equal(own.status, 502);
    assert.ok(!JSON.stringify(jsonOf(own)).includes("sk-123"));
  }
  const page = reader.refused({
    status: 504,
    headers: { "content-type": "text/html" },
    body: Buffer.from("<p>"),
  });
  assert.deepEqual(jsonOf(page), {
    error: { message: "The model server answered 504", type: "server_error", param: null, code: null },
  });
});

describe("streams of responses", () => {
  const event = (type: string, value: object = {}): string =>
    `event: ${type}\ndata: ${JSON.stringify({ ...value, type })}\n\n`;
  const created = event("response.created", {
    response: { status: "in_progress", error: null, usage: null },
  });
  const delta = event("response.output_text.delta", { delta: "Hello" });
  const completed = event("response.completed", {
    response: {
      usage: { input_tokens: 7, input_tokens_details: { cached_tokens: 2 }, output_tokens: 3 },
      metadata: {},
    },
  });
  const target: AttemptTarget = { ...vllm, serves: ["responses"] };
  const run = (text: string, ending: Ending, check: (sink: RecordingSink) => void): void => {
    for (const pieces of everyCut(text)) {
      const sink = new RecordingSink();
      play(attempt("/v1/responses", { model: "m", stream: true }, sink, target).reader, pieces, sink, {
        ending,
      });
      check(sink);
    }
  };

  test("pass unchanged, with their usage", () => {
    run(created + delta + completed, "end", (sink) => {
      assert.equal(sink.text, created + delta + completed);
      assert.equal(sink.held, created);
      assert.deepEqual(sink.tokens, {
        promptTokens: 7,
        cachedTokens: 2,
        completionTokens: 3,
        estimated: false,
      });
    });
  });

  test("break with an error event", () => {
    run(created, "end", (sink) => assert.ok(sink.failed));
    run(created + delta, failure("bad_upstream_answer", "cut"), (sink) => {
      assert.ok(sink.text.startsWith(`${created}${delta}event: error\ndata: {"type":"error"`));
      assert.equal(sink.broken?.message, "cut");
    });
    const failed = event("response.failed", { response: { error: { code: "server_error", message: "no" } } });
    run(created + delta + failed, "end", (sink) => {
      assert.equal(sink.text, created + delta + failed);
      assert.equal(sink.broken?.message, "no");
    });
    run(created + failed, "end", (sink) => assert.equal(sink.failed?.message, "no"));
  });
});

test("a picture counts as a picture when tokens are guessed, however large it is", () => {
  const picture = `data:image/png;base64,${"A".repeat(200_000)}`;
  const chat = (url: unknown): unknown => ({
    model: "m",
    messages: [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }],
  });
  const input = [{ role: "user", content: [{ type: "input_image", image_url: picture }] }];
  const calls = [
    ["/v1/chat/completions", chat(picture), 1],
    ["/v1/responses", { model: "m", input }, 1],
    ["/v1/chat/completions", chat("https://example.org/a.png"), 0],
  ] as const;
  for (const [path, body, pictures] of calls) {
    const made = request(path, body);
    assert.ok(!isFailure(made));
    const { promptTokens } = made.payload.estimate;
    assert.ok(promptTokens > pictures * 1000 && promptTokens < pictures * 1000 + 50, `${promptTokens}`);
  }
  const [text] = [request("/v1/chat/completions", { model: "m", messages: [{ content: picture.slice(5) }] })];
  assert.ok(!isFailure(text) && text.payload.estimate.promptTokens > 50_000);
});
