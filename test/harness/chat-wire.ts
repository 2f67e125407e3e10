/** Chats on the wire, byte by byte: what callers of each API send and get, and what servers of each API stream. */
import assert from "node:assert/strict";

/** A call of a caller. */
export type CallerName = "chat" | "completions" | "responses" | "ollama chat" | "generate" | "messages";

/** How one call looks. */
export interface CallerWire {
  readonly path: string;
  readonly body: (model: string, stream: boolean) => Readonly<Record<string, unknown>>;
  /** What the model said in a stream, read strictly: what is no event of this API fails. */
  readonly textOf: (stream: string) => string;
  /** The stream has the API's last word. */
  readonly isWhole: (stream: string) => boolean;
  /** The stream ends in the API's error, and nothing that looks like a good end follows it. */
  readonly endsInError: (stream: string) => boolean;
  /** The text of an error body; fails for a body that is not the API's. */
  readonly errorOf: (body: string) => string;
}

type Json = Readonly<Record<string, unknown>>;

/** The objects of a stream of SSE; `[DONE]` as a text. */
function sseObjects(stream: string): (Json | "[DONE]")[] {
  const events = stream.replaceAll("\r\n", "\n").split("\n\n");
  return events.flatMap((event): (Json | "[DONE]")[] => {
    const data = event
      .split("\n")
      .filter((line) => line.startsWith("data:"))
      .map((line) => line.slice(5).trim());
    if (data.length === 0) return [];
    const text = data.join("\n");
    return text === "[DONE]" ? ["[DONE]"] : [JSON.parse(text) as Json];
  });
}

function ndjsonObjects(stream: string): Json[] {
  const lines = stream.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => JSON.parse(line) as Json);
}

/** The value at a path of names and numbers; undefined where there is none. */
function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let found: unknown = value;
  for (const name of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = (found as Record<string | number, unknown>)[name];
  }
  return found;
}

function joined(objects: readonly unknown[], ...path: readonly (string | number)[]): string {
  const texts = objects.map((object) => at(object, ...path));
  return texts.map((text) => (typeof text === "string" ? text : "")).join("");
}

function textAt(body: string, ...path: readonly (string | number)[]): string {
  const text = at(JSON.parse(body), ...path);
  assert.equal(typeof text, "string", `no error of this API: ${body}`);
  return String(text);
}

const lastIs = (objects: readonly unknown[], test: (last: unknown) => boolean): boolean =>
  test(objects.at(-1)) && objects.filter((object) => test(object)).length === 1;

const openAiError = (body: string): string => {
  textAt(body, "error", "type");
  return textAt(body, "error", "message");
};

const messagesOf = [{ role: "user", content: "Tell me of the weather" }];

const isDone = (stream: string): boolean => sseObjects(stream).at(-1) === "[DONE]";

const openAiEndsInError = (stream: string): boolean =>
  !sseObjects(stream).includes("[DONE]") &&
  lastIs(sseObjects(stream), (last) => typeof at(last, "error", "message") === "string");

const ollama = {
  isWhole: (stream: string) => at(ndjsonObjects(stream).at(-1), "done") === true,
  endsInError: (stream: string) =>
    !ndjsonObjects(stream).some((line) => line["done"] === true) &&
    lastIs(ndjsonObjects(stream), (last) => typeof at(last, "error") === "string"),
  errorOf: (body: string) => textAt(body, "error"),
};

/** The callers. */
export const callers: Readonly<Record<CallerName, CallerWire>> = {
  chat: {
    path: "/v1/chat/completions",
    body: (model, stream) => ({
      model,
      messages: messagesOf,
      stream,
      ...(stream ? { stream_options: { include_usage: true } } : {}),
    }),
    textOf: (stream) => joined(sseObjects(stream), "choices", 0, "delta", "content"),
    isWhole: isDone,
    endsInError: openAiEndsInError,
    errorOf: openAiError,
  },
  completions: {
    path: "/v1/completions",
    body: (model, stream) => ({
      model,
      prompt: "Once upon a time",
      stream,
      ...(stream ? { stream_options: { include_usage: true } } : {}),
    }),
    textOf: (stream) => joined(sseObjects(stream), "choices", 0, "text"),
    isWhole: isDone,
    endsInError: openAiEndsInError,
    errorOf: openAiError,
  },
  responses: {
    path: "/v1/responses",
    body: (model, stream) => ({ model, input: "Tell me of the weather", stream, store: false }),
    textOf: (stream) =>
      joined(
        sseObjects(stream).filter((event) => at(event, "type") === "response.output_text.delta"),
        "delta",
      ),
    isWhole: (stream) => at(sseObjects(stream).at(-1), "type") === "response.completed",
    endsInError: (stream) =>
      lastIs(sseObjects(stream), (last) => ["error", "response.failed"].includes(String(at(last, "type")))) &&
      !stream.includes("response.completed"),
    errorOf: openAiError,
  },
  "ollama chat": {
    path: "/api/chat",
    body: (model, stream) => ({ model, messages: messagesOf, stream }),
    textOf: (stream) => joined(ndjsonObjects(stream), "message", "content"),
    ...ollama,
  },
  generate: {
    path: "/api/generate",
    body: (model, stream) => ({ model, prompt: "Tell me of the weather", stream }),
    textOf: (stream) => joined(ndjsonObjects(stream), "response"),
    ...ollama,
  },
  messages: {
    path: "/v1/messages",
    body: (model, stream) => ({ model, max_tokens: 100, messages: messagesOf, stream }),
    textOf: (stream) => joined(sseObjects(stream), "delta", "text"),
    isWhole: (stream) => at(sseObjects(stream).at(-1), "type") === "message_stop",
    endsInError: (stream) =>
      !stream.includes("message_stop") &&
      lastIs(sseObjects(stream), (last) => typeof at(last, "error", "message") === "string"),
    errorOf: (body) => textAt(body, "error", "message"),
  },
};

/** What a server streams at one of its addresses. */
export interface ServerWire {
  readonly contentType: string;
  /** What comes before the first content, one frame a piece of text, and what ends the stream; the last frame is the last word. */
  readonly frames: (pieces: readonly string[]) => {
    readonly opening: readonly string[];
    readonly content: readonly string[];
    readonly closing: readonly string[];
  };
  /** An error as the server sends it in its stream. */
  readonly error: string;
  /** A frame that is no JSON. */
  readonly malformed: string;
  /** A whole answer. */
  readonly whole: (text: string) => string;
}

/** Tokens that every server tells. */
export const toldUsage = { prompt: 11, completion: 7 } as const;

const sse = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
const line = (value: object): string => `${JSON.stringify(value)}\n`;
const named = <Event extends { readonly type: string }>(value: Event): string =>
  `event: ${value.type}\n${sse(value)}`;

const openAiUsage = {
  prompt_tokens: toldUsage.prompt,
  completion_tokens: toldUsage.completion,
  total_tokens: toldUsage.prompt + toldUsage.completion,
};
const openAiStream = {
  contentType: "text/event-stream",
  error: sse({ error: { message: "the engine died", type: "server_error", param: null, code: null } }),
  malformed: 'data: {"choices": [{"delta\n\n',
};
const chunk = (choices: readonly object[], more: object = {}): string =>
  sse({ id: "x", object: "chat.completion.chunk", created: 1, model: "m", choices, ...more });

const ollamaCounts = {
  done: true,
  done_reason: "stop",
  total_duration: 5,
  prompt_eval_count: toldUsage.prompt,
  eval_count: toldUsage.completion,
};
const ollamaStream = {
  contentType: "application/x-ndjson",
  error: line({ error: "the engine died" }),
  malformed: '{"message": {"con\n',
};
const ollamaLine = (value: object): object => ({ model: "m", created_at: "2026-01-01T00:00:00Z", ...value });

const responseOf = (text: string): object => ({
  id: "resp_1",
  object: "response",
  created_at: 1,
  model: "m",
  status: "completed",
  output: [
    {
      id: "msg_1",
      type: "message",
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text, annotations: [] }],
    },
  ],
  usage: {
    input_tokens: toldUsage.prompt,
    output_tokens: toldUsage.completion,
    total_tokens: toldUsage.prompt + toldUsage.completion,
  },
});

const messageOf = (content: readonly object[], more: object): object => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "m",
  content,
  stop_sequence: null,
  ...more,
});

/** By the path that a server is asked at. */
const servers: Readonly<Record<string, ServerWire>> = {
  "/v1/chat/completions": {
    ...openAiStream,
    frames: (pieces) => ({
      opening: [chunk([{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }])],
      content: pieces.map((content) => chunk([{ index: 0, delta: { content }, finish_reason: null }])),
      closing: [
        chunk([{ index: 0, delta: {}, finish_reason: "stop" }]),
        chunk([], { usage: openAiUsage }),
        "data: [DONE]\n\n",
      ],
    }),
    whole: (content) =>
      JSON.stringify({
        id: "x",
        object: "chat.completion",
        created: 1,
        model: "m",
        choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
        usage: openAiUsage,
      }),
  },
  "/v1/completions": {
    ...openAiStream,
    frames: (pieces) => ({
      opening: [],
      content: pieces.map((text) => sse({ id: "x", choices: [{ index: 0, text, finish_reason: null }] })),
      closing: [
        sse({ id: "x", choices: [{ index: 0, text: "", finish_reason: "stop" }] }),
        sse({ id: "x", choices: [], usage: openAiUsage }),
        "data: [DONE]\n\n",
      ],
    }),
    whole: (text) =>
      JSON.stringify({
        id: "x",
        object: "text_completion",
        choices: [{ index: 0, text, finish_reason: "stop" }],
        usage: openAiUsage,
      }),
  },
  "/v1/responses": {
    contentType: "text/event-stream",
    error: named({ type: "error", code: "server_error", message: "the engine died", param: null }),
    malformed: 'event: response.output_text.delta\ndata: {"delta\n\n',
    frames: (pieces) => ({
      opening: [named({ type: "response.created", response: { status: "in_progress" } })],
      content: pieces.map((delta) => named({ type: "response.output_text.delta", item_id: "msg_1", delta })),
      closing: [named({ type: "response.completed", response: responseOf(pieces.join("")) })],
    }),
    whole: (text) => JSON.stringify(responseOf(text)),
  },
  "/api/chat": {
    ...ollamaStream,
    frames: (pieces) => ({
      opening: [],
      content: pieces.map((content) =>
        line(ollamaLine({ message: { role: "assistant", content }, done: false })),
      ),
      closing: [line(ollamaLine({ message: { role: "assistant", content: "" }, ...ollamaCounts }))],
    }),
    whole: (content) =>
      JSON.stringify(ollamaLine({ message: { role: "assistant", content }, ...ollamaCounts })),
  },
  "/api/generate": {
    ...ollamaStream,
    malformed: '{"response": "con\n',
    frames: (pieces) => ({
      opening: [],
      content: pieces.map((response) => line(ollamaLine({ response, done: false }))),
      closing: [line(ollamaLine({ response: "", ...ollamaCounts }))],
    }),
    whole: (response) => JSON.stringify(ollamaLine({ response, ...ollamaCounts })),
  },
  "/v1/messages": {
    contentType: "text/event-stream",
    error: named({ type: "error", error: { type: "api_error", message: "the engine died" } }),
    malformed: 'event: message_delta\ndata: {"delta\n\n',
    frames: (pieces) => ({
      opening: [
        named({
          type: "message_start",
          message: messageOf([], {
            stop_reason: null,
            usage: { input_tokens: toldUsage.prompt, output_tokens: 1 },
          }),
        }),
        named({
          type: "content_block_start",
          index: 0,
          content_block: { type: "text", text: "" },
        }),
      ],
      content: pieces.map((text) =>
        named({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }),
      ),
      closing: [
        named({ type: "content_block_stop", index: 0 }),
        named({
          type: "message_delta",
          delta: { stop_reason: "end_turn", stop_sequence: null },
          usage: { output_tokens: toldUsage.completion },
        }),
        named({ type: "message_stop" }),
      ],
    }),
    whole: (text) =>
      JSON.stringify(
        messageOf([{ type: "text", text }], {
          stop_reason: "end_turn",
          usage: { input_tokens: toldUsage.prompt, output_tokens: toldUsage.completion },
        }),
      ),
  },
};

/** The wire of an address; fails for one that no server has. */
export function serverAt(path: string): ServerWire {
  const wire = servers[path];
  assert.ok(wire !== undefined, `no server has ${path}`);
  return wire;
}
