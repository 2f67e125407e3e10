/** Writes answers: JSON at once, server-sent events or JSON lines as they come. */
import type { ServerResponse } from "node:http";
import { toRefusal, type Refusal } from "../refusal.ts";

/** How a dialect words a refusal. */
export type ErrorBody = (refusal: Refusal) => unknown;

/** Answers with JSON. */
export function answerJson(response: ServerResponse, body: unknown, status = 200): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
  });
  response.end(text);
}

/** Answers with a refusal, or ends the stream with one where it has begun. Nothing where the client has gone. */
export function answerError(response: ServerResponse, error: unknown, errorBody: ErrorBody): void {
  if (response.destroyed || response.writableEnded) return;
  const refusal = toRefusal(error);
  const body = errorBody(refusal);
  if (!response.headersSent) {
    if (refusal.retryAfter !== undefined) response.setHeader("retry-after", refusal.retryAfter);
    answerJson(response, body, refusal.status);
    return;
  }
  const events = String(response.getHeader("content-type")).startsWith("text/event-stream");
  response.end(events ? `data: ${JSON.stringify(body)}\n\n` : `${JSON.stringify(body)}\n`);
}

/**
 * An answer in pieces. The head goes out with the first piece, so that what fails before has a status of its own.
 * What a slow reader does not take is kept: it is bounded by the model's context.
 */
export class Stream {
  readonly #response: ServerResponse;
  readonly #events: boolean;

  constructor(response: ServerResponse, kind: "events" | "lines") {
    this.#response = response;
    this.#events = kind === "events";
  }

  /** Sends one JSON value. */
  send(value: unknown): void {
    const text = JSON.stringify(value);
    this.#write(this.#events ? `data: ${text}\n\n` : `${text}\n`);
  }

  /** Ends the answer; a stream of events with `[DONE]`. */
  end(): void {
    if (this.#events) this.#write("data: [DONE]\n\n");
    this.#response.end();
  }

  #write(text: string): void {
    if (this.#response.destroyed) return;
    if (!this.#response.headersSent) {
      this.#response.setHeader("content-type", this.#events ? "text/event-stream" : "application/x-ndjson");
      this.#response.setHeader("cache-control", "no-cache");
      this.#response.writeHead(200);
    }
    this.#response.write(text);
  }
}
