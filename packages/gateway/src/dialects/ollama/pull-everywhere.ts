/** `POST /api/pull` on every server of a pool: one stream of progress, one end. */
import type { ServerCall, ServerError, ServerHandler } from "../../contracts/connection.ts";
import type { HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { StreamedAnswer } from "../../contracts/route.ts";
import type { Exchange, ResponseSink } from "../../contracts/sink.ts";
import { isFailure } from "../../core/errors.ts";
import type { HeaderMap } from "../../core/headers.ts";
import type { JsonObject } from "../chat/json-object.ts";
import type { Frame, FrameHandler } from "../streams/frame.ts";
import { LineReader } from "../streams/line-reader.ts";
import { readErrorText, readObject } from "./answer-parts.ts";
import { serverFailure } from "./passed-call.ts";
import { PullProgress } from "./pull-progress.ts";
import { line, ndjsonHeaders, writeOllamaRefusal } from "./write-answer.ts";

/** What is pulled. */
export interface Pull {
  /** The caller's body, with `stream` true. */
  readonly body: Uint8Array;
  /** The caller wants progress, not only the end. */
  readonly stream: boolean;
}

/** Longest body of a refusal that is read for its text, and longest line of progress. */
const maxTextBytes = 65_536;

/** Pulls on all endpoints at once. */
export function pullEverywhere(endpoints: readonly HttpEndpoint[], pull: Pull): StreamedAnswer {
  return { carry: (sink) => new MergedPull(endpoints, pull, sink) };
}

class MergedPull implements Exchange {
  readonly #sink: ResponseSink;
  readonly #stream: boolean;
  readonly #progress: PullProgress;
  readonly #all: number;
  #pulls: readonly ServerPull[] = [];
  readonly #failures: string[] = [];
  #status = 502;
  #open: number;
  #hasHead = false;
  #hasLeft = false;

  constructor(endpoints: readonly HttpEndpoint[], { body, stream }: Pull, sink: ResponseSink) {
    this.#sink = sink;
    this.#stream = stream;
    this.#progress = new PullProgress(endpoints.map(({ id }) => id));
    this.#all = endpoints.length;
    this.#open = endpoints.length;
    this.#pulls = endpoints.map((endpoint) => new ServerPull(endpoint, body, this));
  }

  told(server: string, object: JsonObject): void {
    const merged = this.#progress.line(server, object);
    if (merged !== undefined && this.#stream) this.#write(merged);
  }

  /** One server is done: well, or not. `status`: of an answer that was a refusal. Well is told once the model can be used. */
  done(endpoint: HttpEndpoint, problem: string | undefined, status: number | undefined): void {
    if (problem === undefined) return endpoint.refresh(() => this.#settled());
    this.#progress.failed(endpoint.id);
    this.#failures.push(this.#all === 1 ? problem : `${endpoint.id}: ${problem}`);
    this.#status = status ?? this.#status;
    this.#settled();
  }

  resume(): void {
    for (const pull of this.#pulls) pull.resume();
  }

  cancel(): void {
    this.#hasLeft = true;
    for (const pull of this.#pulls) pull.cancel();
  }

  #settled(): void {
    if (--this.#open === 0 && !this.#hasLeft) this.#end();
  }

  #end(): void {
    const hasFailed = this.#failures.length > 0;
    const problems = this.#failures.join("; ");
    const count = `${this.#failures.length} of ${this.#all} servers`;
    const text = this.#all === 1 ? problems : `pull failed on ${count}: ${problems}`;
    if (!this.#hasHead && (hasFailed || !this.#stream)) {
      const good = { status: 200, headers: [["content-type", "application/json"]] as const };
      if (hasFailed) return this.#sink.whole(writeOllamaRefusal(this.#status, text));
      return this.#sink.whole({ ...good, body: [line({ status: "success" })] });
    }
    this.#write(hasFailed ? { error: text } : { status: "success" });
    this.#sink.end();
  }

  #write(value: JsonObject): void {
    if (!this.#hasHead) {
      this.#hasHead = true;
      this.#sink.head(200, ndjsonHeaders);
    }
    if (this.#sink.data(line(value))) return;
    for (const pull of this.#pulls) pull.pause();
  }
}

/** The pull on one server. */
class ServerPull implements ServerHandler, FrameHandler {
  readonly #endpoint: HttpEndpoint;
  readonly #merged: MergedPull;
  readonly #lines = new LineReader(this, maxTextBytes);
  readonly #call: ServerCall;
  #refusedWith: number | undefined;
  #refusal: Buffer = Buffer.alloc(0);
  #hasSucceeded = false;
  #problem: string | undefined;

  constructor(endpoint: HttpEndpoint, body: Uint8Array, merged: MergedPull) {
    this.#endpoint = endpoint;
    this.#merged = merged;
    const headers = [["content-type", "application/json"]] as const;
    this.#call = endpoint.connection.send({ method: "POST", path: "/api/pull", headers, body }, this);
  }

  head(status: number, _headers: HeaderMap): void {
    if (status >= 300) this.#refusedWith = status;
  }

  data(chunk: Uint8Array): void {
    if (this.#refusedWith === undefined) return this.#lines.push(chunk);
    if (this.#refusal.length < maxTextBytes) this.#refusal = Buffer.concat([this.#refusal, chunk]);
  }

  end(): void {
    const status = this.#refusedWith;
    if (status !== undefined) {
      const text = readErrorText(this.#refusal) ?? `answered ${status}`;
      return this.#merged.done(this.#endpoint, text, status < 400 ? undefined : status);
    }
    this.#lines.end();
    if (this.#problem !== undefined) return this.#merged.done(this.#endpoint, this.#problem, 500);
    const broken = this.#hasSucceeded ? undefined : "its answer broke off before its end";
    this.#merged.done(this.#endpoint, broken, undefined);
  }

  failed(error: ServerError): void {
    const prefix = `${this.#endpoint.id}: `;
    const { message } = serverFailure(this.#endpoint, error);
    this.#merged.done(this.#endpoint, this.#problem ?? message.slice(prefix.length), undefined);
  }

  frame(frame: Frame): void {
    if (frame.dataEnd === 0) return;
    const value = readObject(frame.data.subarray(frame.dataStart, frame.dataEnd));
    if (isFailure(value)) return;
    const { object } = value;
    if (typeof object["error"] === "string") this.#problem ??= object["error"].slice(0, 2_000);
    if (object["status"] === "success") this.#hasSucceeded = true;
    this.#merged.told(this.#endpoint.id, object);
  }

  tooLong(maxBytes: number): void {
    this.#problem ??= `it sent a line of more than ${maxBytes} bytes`;
  }

  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  cancel(): void {
    this.#call.cancel();
  }
}
