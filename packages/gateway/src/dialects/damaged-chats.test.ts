/** Damaged bodies of callers and damaged answers of servers: refused or ended with an error, never thrown at. Seeded. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { KeptAnswer, testContext } from "../../test/support/answers.ts";
import { answered, asked, type CallerName } from "../../test/support/every-dialect.ts";
import { createDraw, cutBytes, type Draw } from "../../test/support/random-chats.ts";
import { isFailure } from "../core/errors.ts";
import { anthropicServer } from "./anthropic/codecs.ts";
import { anthropicStream, MessagesInspector } from "./anthropic/relay.ts";
import { ChatTranslation } from "./chat/translation.ts";
import { ollamaServer } from "./ollama/codecs.ts";
import { OllamaInspector, ollamaStream } from "./ollama/relay.ts";
import { ChatInspector } from "./openai/chat-inspector.ts";
import { writeOpenAiErrorEvent } from "./openai/openai-errors.ts";
import { openAiServer } from "./openai/openai-server.ts";
import { sseHeaders } from "./openai/sse-headers.ts";
import { SseReader } from "./streams/sse-reader.ts";
import { StreamRelay, type FrameInspector, type StreamWords } from "./streams/stream-relay.ts";

const rounds = 900;
const servers = { openai: openAiServer, anthropic: anthropicServer, ollama: ollamaServer };
const dialects = ["openai", "anthropic", "ollama"] as const;
const callers = Object.keys(asked) as CallerName[];

const pieces = [
  "[",
  "]",
  "{",
  "}",
  '"',
  ",",
  ":",
  "null",
  "true",
  "-1",
  "1e999",
  "[[[[",
  "\\u0000",
  "\\ud800",
  "\n",
  "\n\n",
  "\r",
  "data:",
  "event: error\n",
  '"error":',
  '{"error":{}}',
  "0",
  '""',
  "{}",
  "[]",
  '"type":',
  "[DONE]",
  "\u0000",
] as const;

/** Replaces values and cuts, doubles, moves or overwrites pieces of the text. */
function damage(draw: Draw, text: string): string {
  let damaged = text;
  for (let i = 1 + draw.int(3); i > 0; i--) {
    const at = draw.int(damaged.length + 1);
    const length = draw.int(12);
    const piece = draw.pick(pieces);
    switch (draw.int(4)) {
      case 0:
        damaged = damaged.slice(0, at) + damaged.slice(at + length);
        break;
      case 1:
        damaged = damaged.slice(0, at) + piece + damaged.slice(at);
        break;
      case 2:
        damaged = damaged.slice(0, at) + piece + damaged.slice(at + length);
        break;
      default:
        damaged = swapValue(draw, damaged, piece);
    }
  }
  return damaged;
}

/** Puts another value in the place of a string or number, so that the JSON stays whole. */
function swapValue(draw: Draw, text: string, piece: string): string {
  const values = [...text.matchAll(/:("(?:[^"\\]|\\.)*"|-?\d+|true|false|null)/g)];
  const found = values[draw.int(Math.max(1, values.length))];
  if (found === undefined) return text;
  const value = draw.pick([
    "null",
    "-1",
    "1.5",
    "9".repeat(400),
    "{}",
    "[]",
    '""',
    "true",
    '[{"type":7}]',
    JSON.stringify(piece),
  ]);
  return `${text.slice(0, found.index)}:${value}${text.slice(found.index + found[0].length)}`;
}

function translation(caller: CallerName, body: string): ChatTranslation {
  const { codec } = asked[caller];
  return new ChatTranslation({ caller: codec, servers, body: Buffer.from(body), context: testContext() });
}

describe("damaged bodies", () => {
  for (const caller of callers) {
    test(caller, () => {
      const whole = JSON.stringify(asked[caller].body);
      let refusals = 0;
      for (let seed = 1; seed <= rounds; seed++) {
        const body = damage(createDraw(seed), whole);
        for (const dialect of dialects) {
          const made = translation(caller, body).attempt(
            { dialect, model: "m", serves: [] },
            new KeptAnswer(),
          );
          if (!isFailure(made)) {
            assert.ok(JSON.parse(Buffer.from(made.body).toString()));
            continue;
          }
          refusals++;
          assert.ok(
            made.code === "bad_request" || made.code === "invalid_json",
            `seed ${seed}: ${made.code}`,
          );
          assert.ok(made.message.length < 1000, `seed ${seed}: ${made.message}`);
        }
      }
      assert.ok(refusals > rounds / 2 && refusals < rounds * 3, `${refusals} refusals`);
    });
  }
});

describe("bodies that nest deeper than a writer can walk", () => {
  const nested = `${"[".repeat(30_000)}${"]".repeat(30_000)}`;
  const bodies: Record<CallerName, readonly Record<string, unknown>[]> = {
    chat: [
      { response_format: { type: "json_schema", json_schema: { name: "n", schema: { a: "DEEP" } } } },
      {
        messages: [
          { role: "assistant", tool_calls: [{ id: "c", function: { name: "f", arguments: "TEXT" } }] },
        ],
      },
    ],
    responses: [{ input: [{ type: "function_call", call_id: "c", name: "f", arguments: "TEXT" }] }],
    messages: [{ tools: [{ name: "f", input_schema: { a: "DEEP" } }] }],
    ollama: [
      {
        messages: [
          { role: "assistant", tool_calls: [{ function: { name: "f", arguments: { a: "DEEP" } } }] },
        ],
      },
    ],
  };
  for (const caller of callers) {
    test(caller, () => {
      for (const changes of bodies[caller]) {
        const body = JSON.stringify({ ...asked[caller].body, ...changes })
          .replace('"DEEP"', nested)
          .replace('"TEXT"', JSON.stringify(`{"a":${nested}}`));
        for (const dialect of ["anthropic", "ollama"] as const) {
          const made = translation(caller, body).attempt(
            { dialect, model: "m", serves: [] },
            new KeptAnswer(),
          );
          assert.ok(isFailure(made), dialect);
          assert.ok(made.code === "invalid_json" || made.code === "bad_request", made.code);
        }
      }
    });
  }
});

/** The end of an answer is told once: a failure before content, or an end, broken or not, with usage behind it. */
function checkEnd(out: KeptAnswer, where: string): void {
  const isCommitted = out.committedAfter !== undefined;
  if (isCommitted) {
    assert.ok(out.ended, `${where}: committed and never ended`);
    assert.ok(out.tokens !== undefined, `${where}: without usage`);
    const { promptTokens, cachedTokens, completionTokens } = out.tokens;
    for (const count of [promptTokens, cachedTokens, completionTokens]) {
      assert.ok(Number.isSafeInteger(count) && count >= 0, `${where}: ${count} tokens`);
    }
  } else assert.ok(out.failure !== undefined && !out.ended, `${where}: neither committed nor failed`);
}

describe("damaged answers", () => {
  for (const caller of callers) {
    for (const dialect of dialects) {
      test(`${dialect} → ${caller}, streamed`, () => {
        for (let seed = 1; seed <= rounds / 3; seed++) {
          const draw = createDraw(seed);
          const out = new KeptAnswer();
          const made = translation(caller, JSON.stringify(asked[caller].body)).attempt(
            { dialect, model: "m", serves: [] },
            out,
          );
          assert.ok(!isFailure(made));
          made.reader.head(200, { "content-type": answered[dialect].type });
          for (const piece of cutBytes(draw, Buffer.from(damage(draw, answered[dialect].stream))))
            made.reader.data(piece);
          made.reader.end();
          checkEnd(out, `seed ${seed}`);
        }
      });

      test(`${dialect} → ${caller}, whole`, () => {
        const { stream_options: _, ...rest } = asked[caller].body;
        for (let seed = 1; seed <= rounds / 3; seed++) {
          const out = new KeptAnswer();
          const body = JSON.stringify({ ...rest, stream: false });
          const made = translation(caller, body).attempt({ dialect, model: "m", serves: [] }, out);
          assert.ok(!isFailure(made));
          made.reader.head(200, { "content-type": "application/json" });
          made.reader.data(Buffer.from(damage(createDraw(seed), JSON.stringify(answered[dialect].whole))));
          made.reader.end();
          checkEnd(out, `seed ${seed}`);
        }
      });
    }
  }
});

const relays: Record<
  (typeof dialects)[number],
  { readonly words: StreamWords; readonly inspector: () => FrameInspector }
> = {
  openai: {
    words: {
      contentType: "text/event-stream",
      headers: sseHeaders,
      createReader: (handler) => new SseReader(handler),
      writeError: writeOpenAiErrorEvent,
    },
    inspector: () => new ChatInspector(true),
  },
  anthropic: { words: anthropicStream, inspector: () => new MessagesInspector() },
  ollama: { words: ollamaStream, inspector: () => new OllamaInspector() },
};

describe("damaged answers that are passed on", () => {
  for (const dialect of dialects) {
    test(dialect, () => {
      const { words, inspector } = relays[dialect];
      for (let seed = 1; seed <= rounds; seed++) {
        const draw = createDraw(seed);
        const out = new KeptAnswer();
        const estimate = { promptTokens: 7, maxCompletionTokens: undefined };
        const refused = (): never => assert.fail("nothing was refused");
        const relay = new StreamRelay({
          words,
          inspector: inspector(),
          out,
          estimate,
          passedHeaders: [],
          refused,
        });
        relay.head(200, { "content-type": answered[dialect].type });
        for (const piece of cutBytes(draw, Buffer.from(damage(draw, answered[dialect].stream))))
          relay.data(piece);
        relay.end();
        checkEnd(out, `seed ${seed}`);
      }
    });
  }
});
