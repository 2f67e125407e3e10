/**
 * One conversation and one answer in the words of every API: what any caller asks reaches any server the
 * same, and what any server answers reaches any caller the same. Differences are what a dialect cannot say.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { KeptAnswer, testContext } from "../../test/support/answers.ts";
import {
  answered,
  answerSchema,
  asked,
  chunk,
  sse,
  type Asked,
  type Body,
  type CallerName,
} from "../../test/support/every-dialect.ts";
import { failure, isFailure, type Failure } from "../core/errors.ts";
import type { Attempt, ChatDialect } from "../core/forward.ts";
import { anthropicServer } from "./anthropic/codecs.ts";
import { ChatTranslation } from "./chat/translation.ts";
import { ollamaServer } from "./ollama/codecs.ts";
import { openAiServer } from "./openai/openai-server.ts";

const { max_completion_tokens: limit, ...chatBody } = asked.chat.body;
const ollamaMessages = asked.ollama.body["messages"] as Body[];

/** The conversation, by server: for every caller, but for the members that stand under `differs`. */
const sent: Record<
  ChatDialect,
  { readonly path: string; readonly body: Body; readonly differs: Partial<Record<CallerName, Body>> }
> = {
  openai: {
    path: "/v1/chat/completions",
    body: { ...chatBody, model: "there", max_tokens: limit },
    differs: {
      responses: { stop: undefined },
      // Ollama's callers leave the choice of tools to the model, and Anthropic's schemas are always held.
      ollama: { tool_choice: undefined },
      messages: {
        response_format: {
          type: "json_schema",
          json_schema: { name: "answer", schema: answerSchema, strict: true },
        },
      },
    },
  },
  anthropic: {
    path: "/v1/messages",
    body: {
      ...asked.messages.body,
      model: "there",
      system: [{ type: "text", text: "Be brief" }],
      messages: [
        ...(asked.messages.body["messages"] as Body[]).slice(0, 2),
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "c1", content: [{ type: "text", text: "1" }] },
            { type: "tool_result", tool_use_id: "c2", content: [{ type: "text", text: "2" }] },
            { type: "text", text: "And?" },
          ],
        },
      ],
    },
    differs: { responses: { stop_sequences: undefined }, ollama: { tool_choice: undefined } },
  },
  ollama: {
    path: "/api/chat",
    body: {
      ...asked.ollama.body,
      model: "there",
      messages: ollamaMessages.map((message) => {
        const calls = message["tool_calls"] as { id: string; function: object }[] | undefined;
        if (calls === undefined) return message;
        const indexed = calls.map((call, index) => ({ ...call, function: { index, ...call.function } }));
        return { ...message, tool_calls: indexed };
      }),
    },
    differs: {
      responses: { options: { temperature: 0.5, top_p: 0.9, num_predict: 50 } },
      // Adaptive thinking is the model's own choice.
      messages: { think: undefined },
    },
  },
};

const callers = Object.keys(asked) as CallerName[];
const servers = { openai: openAiServer, anthropic: anthropicServer, ollama: ollamaServer };
const dialects = ["openai", "anthropic", "ollama"] as const;

function attempt({ codec, body }: Asked, dialect: ChatDialect, out = new KeptAnswer()): Attempt | Failure {
  const bytes = Buffer.from(JSON.stringify(body));
  const translation = new ChatTranslation({ caller: codec, servers, body: bytes, context: testContext() });
  return translation.attempt({ dialect, model: "there", serves: [] }, out);
}

function plain(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}

describe("what a caller asks", () => {
  for (const caller of callers) {
    const request = asked[caller];
    for (const dialect of dialects) {
      test(`${caller} → ${dialect}`, () => {
        const made = attempt(request, dialect);
        assert.ok(!isFailure(made), JSON.stringify(made));
        const { path, body, differs } = sent[dialect];
        assert.equal(made.path, path);
        const got: unknown = JSON.parse(Buffer.from(made.body).toString());
        assert.deepEqual(got, plain({ ...body, ...differs[caller] }));
      });
    }
  }
});

/** What is the same in every answer, whatever clocks and ids say. */
interface Heard {
  readonly thinking: string;
  readonly text: string;
  readonly calls: readonly (readonly [id: string, name: string, args: unknown])[];
  readonly end: unknown;
  /** Prompt, of it cached, completion. */
  readonly tokens: readonly unknown[];
}

const at = (value: unknown, ...keys: (string | number)[]): unknown =>
  keys.reduce<unknown>((inner, key) => (inner as Record<string | number, unknown> | undefined)?.[key], value);
const list = (value: unknown): Body[] => (Array.isArray(value) ? (value as Body[]) : []);
const joined = (parts: readonly unknown[]): string =>
  parts.filter((part) => typeof part === "string").join("");

/** Hears an answer as its client would: whole, and from a stream. */
const hearing: Record<
  CallerName,
  { readonly whole: (body: Body) => Heard; readonly stream: (events: readonly Body[]) => Heard }
> = {
  chat: {
    whole: (body) => {
      const message = at(body, "choices", 0, "message");
      return {
        thinking: joined([at(message, "reasoning_content")]),
        text: joined([at(message, "content")]),
        calls: list(at(message, "tool_calls")).map((call) => [
          String(call["id"]),
          String(at(call, "function", "name")),
          JSON.parse(String(at(call, "function", "arguments"))),
        ]),
        end: at(body, "choices", 0, "finish_reason"),
        tokens: [
          at(body, "usage", "prompt_tokens"),
          at(body, "usage", "prompt_tokens_details", "cached_tokens"),
          at(body, "usage", "completion_tokens"),
        ],
      };
    },
    stream: (events) => {
      const deltas = events.map((event) => at(event, "choices", 0, "delta"));
      const pieces = deltas.flatMap((delta) => list(at(delta, "tool_calls")));
      const calls = pieces
        .filter((piece) => "id" in piece)
        .map((piece) => {
          const own = pieces.filter((other) => other["index"] === piece["index"]);
          return {
            ...piece,
            function: {
              name: at(piece, "function", "name"),
              arguments: joined(own.map((each) => at(each, "function", "arguments"))),
            },
          };
        });
      const message = {
        reasoning_content: joined(deltas.map((delta) => at(delta, "reasoning_content"))),
        content: joined(deltas.map((delta) => at(delta, "content"))),
        tool_calls: calls,
      };
      const finish = events
        .map((event) => at(event, "choices", 0, "finish_reason"))
        .find((reason) => typeof reason === "string");
      const usage = events.at(-1)?.["usage"];
      return hearing.chat.whole({
        choices: [{ message, finish_reason: finish }],
        usage,
      });
    },
  },
  responses: {
    whole: (body) => {
      const items = list(body["output"]);
      return {
        thinking: joined(
          items.filter(({ type }) => type === "reasoning").map((item) => at(item, "content", 0, "text")),
        ),
        text: joined(
          items.filter(({ type }) => type === "message").map((item) => at(item, "content", 0, "text")),
        ),
        calls: items
          .filter(({ type }) => type === "function_call")
          .map((item) => [
            String(item["call_id"]),
            String(item["name"]),
            JSON.parse(String(item["arguments"])),
          ]),
        // The API has no word for it: calls among the output are to be answered.
        end: body["status"] === "completed" ? "tool_calls" : body["status"],
        tokens: [
          at(body, "usage", "input_tokens"),
          at(body, "usage", "input_tokens_details", "cached_tokens"),
          at(body, "usage", "output_tokens"),
        ],
      };
    },
    stream: (events) => {
      const last = events.at(-1);
      assert.equal(last?.["type"], "response.completed");
      const told = joined(
        events.filter(({ type }) => type === "response.output_text.delta").map(({ delta }) => delta),
      );
      const heard = hearing.responses.whole(last["response"] as Body);
      assert.equal(told, heard.text);
      assert.deepEqual(
        events.map((event) => event["sequence_number"]),
        events.map((_, i) => i),
      );
      return heard;
    },
  },
  messages: {
    whole: (body) => {
      const blocks = list(body["content"]);
      const usage = body["usage"];
      return {
        thinking: joined(blocks.map(({ thinking }) => thinking)),
        text: joined(blocks.map(({ text }) => text)),
        calls: blocks
          .filter(({ type }) => type === "tool_use")
          .map(({ id, name, input }) => [String(id), String(name), input]),
        end: body["stop_reason"] === "tool_use" ? "tool_calls" : body["stop_reason"],
        tokens: [
          Number(at(usage, "input_tokens")) + Number(at(usage, "cache_read_input_tokens")),
          at(usage, "cache_read_input_tokens"),
          at(usage, "output_tokens"),
        ],
      };
    },
    stream: (events) => {
      const blocks = events
        .filter(({ type }) => type === "content_block_start")
        .map(({ index, content_block: block }) => {
          const deltas = events.filter((event) => event["index"] === index).map(({ delta }) => delta);
          const input = joined(deltas.map((delta) => at(delta, "partial_json")));
          const name = (key: string): object => {
            const text = joined(deltas.map((delta) => at(delta, key)));
            return text === "" ? {} : { [key]: text };
          };
          return {
            ...(block as Body),
            ...name("text"),
            ...name("thinking"),
            ...(input === "" ? {} : { input: JSON.parse(input) as unknown }),
          };
        });
      assert.equal(events.at(-1)?.["type"], "message_stop");
      const end = events.at(-2);
      return hearing.messages.whole({
        content: blocks,
        ...(end?.["delta"] as Body),
        usage: end?.["usage"],
      });
    },
  },
  ollama: {
    whole: (body) => ({
      thinking: joined([at(body, "message", "thinking")]),
      text: joined([at(body, "message", "content")]),
      calls: list(at(body, "message", "tool_calls")).map((call) => [
        String(call["id"]),
        String(at(call, "function", "name")),
        at(call, "function", "arguments"),
      ]),
      // The API has no word for it.
      end: body["done_reason"] === "stop" ? "tool_calls" : body["done_reason"],
      tokens: [body["prompt_eval_count"], undefined, body["eval_count"]],
    }),
    stream: (events) => {
      const message = {
        content: joined(events.map((event) => at(event, "message", "content"))),
        thinking: joined(events.map((event) => at(event, "message", "thinking"))),
        tool_calls: events.flatMap((event) => list(at(event, "message", "tool_calls"))),
      };
      assert.equal(events.at(-1)?.["done"], true);
      return hearing.ollama.whole({ ...events.at(-1), message });
    },
  },
};

/** What is to be heard: Ollama's servers tell nothing of their cache, and its callers are told nothing. */
function expected(caller: CallerName, dialect: ChatDialect): Heard {
  const cached = caller === "ollama" ? undefined : dialect === "ollama" ? 0 : 100;
  return {
    thinking: "Hm",
    text: "Grüße 🙂",
    calls: [
      ["c1", "f", { a: 1 }],
      ["c2", "g", {}],
    ],
    end: "tool_calls",
    tokens: [130, cached, 15],
  };
}

function streamed(caller: CallerName, dialect: ChatDialect, text: string): KeptAnswer {
  const out = new KeptAnswer();
  const made = attempt(asked[caller], dialect, out);
  assert.ok(!isFailure(made), JSON.stringify(made));
  made.reader.head(200, { "content-type": answered[dialect].type });
  made.reader.data(Buffer.from(text));
  if (out.failure === undefined) made.reader.end();
  return out;
}

const eventsOf = (caller: CallerName, out: KeptAnswer): Body[] =>
  (caller === "ollama" ? out.lines : out.events) as Body[];

describe("what a server answers", () => {
  for (const caller of callers) {
    const { codec, body } = asked[caller];
    for (const dialect of dialects) {
      test(`${dialect} → ${caller}, streamed`, () => {
        const out = streamed(caller, dialect, answered[dialect].stream);
        assert.ok(out.ended && out.failure === undefined);
        assert.deepEqual(hearing[caller].stream(eventsOf(caller, out)), expected(caller, dialect));
        const cachedTokens = dialect === "ollama" ? 0 : 100;
        assert.deepEqual(out.tokens, {
          promptTokens: 130,
          cachedTokens,
          completionTokens: 15,
          estimated: false,
        });
      });

      test(`${dialect} → ${caller}, whole`, () => {
        const out = new KeptAnswer();
        const { stream_options: _, ...rest } = body;
        const made = attempt({ codec, body: { ...rest, stream: false } }, dialect, out);
        assert.ok(!isFailure(made), JSON.stringify(made));
        made.reader.head(200, { "content-type": "application/json" });
        made.reader.data(Buffer.from(JSON.stringify(answered[dialect].whole)));
        made.reader.end();
        assert.equal(out.failure, undefined);
        assert.deepEqual(hearing[caller].whole(JSON.parse(out.sent) as Body), expected(caller, dialect));
      });
    }
  }
});

/** The event that a client takes for an error, by caller. */
const errorIn: Record<CallerName, (events: readonly Body[]) => unknown> = {
  chat: (events) => at(events.at(-1), "error", "message"),
  responses: (events) => (events.at(-1)?.["type"] === "error" ? events.at(-1)?.["message"] : undefined),
  messages: (events) =>
    events.at(-1)?.["type"] === "error" ? at(events.at(-1), "error", "message") : undefined,
  ollama: (events) => events.at(-1)?.["error"],
};

const errorsOf: Record<ChatDialect, string> = {
  openai: 'data: {"error":{"message":"out of memory","type":"server_error"}}\n\ndata: [DONE]\n\n',
  anthropic:
    'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"out of memory"}}\n\n',
  ollama: '{"error":"out of memory"}\n',
};

describe("a stream that breaks", () => {
  for (const caller of callers) {
    for (const dialect of dialects) {
      const begun = answered[dialect].stream.slice(0, answered[dialect].stream.indexOf("🙂"));
      const cutAt = dialect === "ollama" ? begun.lastIndexOf("\n") + 1 : begun.lastIndexOf("\n\n") + 2;
      const whole = begun.slice(0, cutAt);
      test(`${dialect} → ${caller}: the server's error is the caller's`, () => {
        const out = streamed(caller, dialect, whole + errorsOf[dialect]);
        assert.equal(errorIn[caller](eventsOf(caller, out)), "out of memory");
        assert.ok(out.ended && out.failure !== undefined);
        assert.ok(!out.sent.includes("[DONE]") && !out.sent.includes("message_stop"));
        assert.equal(out.tokens?.estimated, true);
      });

      test(`${dialect} → ${caller}: an end without its last word is an error`, () => {
        const out = streamed(caller, dialect, whole);
        assert.match(String(errorIn[caller](eventsOf(caller, out))), /broke off/);
      });

      test(`${dialect} → ${caller}: an error before content can be tried elsewhere`, () => {
        const out = streamed(caller, dialect, errorsOf[dialect]);
        assert.ok(!out.ended && out.failure !== undefined && out.committedAfter === undefined);
      });
    }
  }

  test("pieces of two calls that mix belong to neither", () => {
    const mixed = sse([
      chunk({ tool_calls: [{ index: 0, id: "c1", function: { name: "f", arguments: "{" } }] }),
      chunk({ tool_calls: [{ index: 1, id: "c2", function: { name: "g", arguments: "{" } }] }),
      chunk({ tool_calls: [{ index: 0, function: { arguments: "}" } }] }),
      chunk({}, "tool_calls"),
    ]);
    const out = streamed("chat", "openai", `${mixed}data: [DONE]\n\n`);
    assert.equal(out.failure?.code, failure("bad_upstream_answer").code);
    assert.ok(!out.sent.includes("[DONE]"));
  });
});
