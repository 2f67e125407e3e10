/**
 * The model server behind the gateway in figures about chats, as cheap as one can be: a fixed answer, or a stream of
 * `max_tokens` events at a fixed rate, each stamped with the time it was sent. What a request asks for in `metadata`
 * (`headDelayMs`, `firstDelayMs`, `wholeDelayMs`) delays it; `GET /closings` tells which requests were given up, and when.
 */
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { monotonicUs, stampText } from "../load/event-stamps.ts";
import { serveReference } from "./serve-reference.ts";

interface ChatBody {
  readonly stream?: boolean;
  readonly max_tokens?: number;
  readonly user?: string;
  readonly metadata?: Readonly<Record<string, number>>;
}

const MODEL = "bench";
const EVENTS_PER_SECOND = 30;
const TICK_MS = 1;
const PERIOD_MS = 1000 / EVENTS_PER_SECOND;
/** Given up requests that are kept for `GET /closings`. */
const MAX_CLOSINGS = 10_000;
const JSON_HEAD = { "content-type": "application/json" };
const STREAM_HEAD = { "content-type": "text/event-stream", "cache-control": "no-cache" };

/** 430 bytes, as long as a short real answer. */
const answer = Buffer.from(
  JSON.stringify({
    id: "chatcmpl-0123456789abcdef",
    object: "chat.completion",
    created: 1_750_000_000,
    model: MODEL,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: "The part is seated. ".repeat(7).trim() },
        logprobs: null,
        finish_reason: "stop",
      },
    ],
    usage: { prompt_tokens: 152, completion_tokens: 35, total_tokens: 187 },
  }),
);
const chunkHead = `{"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1750000000,"model":"${MODEL}","choices":[{"index":0,"delta":`;
const lastEvents = Buffer.from(
  `data: ${chunkHead}{},"finish_reason":"stop"}]}\n\ndata: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1750000000,"model":"${MODEL}","choices":[],"usage":{"prompt_tokens":152,"completion_tokens":35,"total_tokens":187}}\n\ndata: [DONE]\n\n`,
);

/** A running stream: a link of its slot's list. */
interface Stream {
  readonly response: ServerResponse;
  left: number;
}

/** Streams that are due in the same millisecond of the period share one frame. */
class Slots {
  readonly #slots: Set<Stream>[] = Array.from({ length: Math.ceil(PERIOD_MS / TICK_MS) }, () => new Set());
  readonly #due: number[];
  #next = 0;

  constructor() {
    const now = performance.now();
    this.#due = this.#slots.map((_, index) => now + index * TICK_MS);
    setInterval(() => this.#tick(performance.now()), TICK_MS).unref();
  }

  /** The first event leaves at once, the next ones in the rhythm of a slot; slots are taken in turn, so that the load is even. */
  add(stream: Stream): void {
    if (this.#send(stream, frame())) return;
    const streams = this.#slots[this.#next];
    this.#next = (this.#next + 1) % this.#slots.length;
    streams?.add(stream);
    stream.response.once("close", () => streams?.delete(stream));
  }

  #tick(now: number): void {
    for (const [index, streams] of this.#slots.entries()) {
      const due = this.#due[index] ?? now;
      if (due > now) continue;
      this.#due[index] = Math.max(due + PERIOD_MS, now - PERIOD_MS);
      if (streams.size === 0) continue;
      const bytes = frame();
      for (const stream of streams) if (this.#send(stream, bytes)) streams.delete(stream);
    }
  }

  /** True after the last event. Events go to the socket as chunks already framed: the server is to cost as little as it can. */
  #send(stream: Stream, bytes: Buffer): boolean {
    stream.left -= 1;
    stream.response.socket?.write(bytes);
    if (stream.left > 0) return false;
    stream.response.end(lastEvents);
    return true;
  }
}

const slots = new Slots();
let closings: { readonly user: string; readonly closedUs: number }[] = [];
let arrivals = 0;

serveReference(createServer(serve));

function serve(request: IncomingMessage, response: ServerResponse): void {
  if (request.method === "POST") return readBody(request, (body) => chat(body, response));
  response.writeHead(200, JSON_HEAD);
  if (request.url === "/closings") {
    response.end(JSON.stringify({ closings, arrivals }));
    closings = [];
  } else response.end(JSON.stringify({ object: "list", data: [{ id: MODEL, object: "model", created: 0 }] }));
}

function readBody(request: IncomingMessage, done: (body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => done(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
}

function chat(bytes: Buffer, response: ServerResponse): void {
  const body = JSON.parse(bytes.toString()) as ChatBody;
  arrivals += 1;
  const { user } = body;
  if (user !== undefined) response.once("close", () => noteClosing(user, response));
  const delays = body.metadata ?? {};
  if (body.stream === true) after(delays["headDelayMs"], () => stream(body, response));
  else after(delays["wholeDelayMs"], () => whole(response));
}

function whole(response: ServerResponse): void {
  response.writeHead(200, { ...JSON_HEAD, "content-length": answer.length });
  response.end(answer);
}

function stream(body: ChatBody, response: ServerResponse): void {
  response.writeHead(200, STREAM_HEAD);
  response.flushHeaders();
  after(body.metadata?.["firstDelayMs"], () => {
    if (!response.closed) slots.add({ response, left: body.max_tokens ?? EVENTS_PER_SECOND });
  });
}

function noteClosing(user: string, response: ServerResponse): void {
  if (response.writableFinished || closings.length >= MAX_CLOSINGS) return;
  closings.push({ user, closedUs: monotonicUs() });
}

/** One event in its chunk of the chunked encoding (RFC 9112 section 7.1). */
function frame(): Buffer {
  const content = `${stampText(monotonicUs())} part`;
  const event = `data: ${chunkHead}{"content":"${content}"},"finish_reason":null}]}\n\n`;
  return Buffer.from(`${event.length.toString(16)}\r\n${event}\r\n`);
}

function after(delayMs: number | undefined, action: () => void): void {
  if (delayMs === undefined) action();
  else setTimeout(action, delayMs);
}
