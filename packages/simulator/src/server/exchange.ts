/** One request and its answer, with the faults that were ordered for it. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { DirectSink, SlowSink } from "./byte-pump.ts";
import type { ByteSink } from "./byte-pump.ts";
import type { Fault } from "./fault.ts";
import { htmlPage } from "./html-page.ts";
import type { RequestEnd, RequestLog, RequestRecord } from "./request-log.ts";

/** An error as a face writes it. */
export interface ErrorAnswer {
  readonly status: number;
  readonly message: string;
  /** The face's word for it, where it differs from the status's. */
  readonly type?: string;
  readonly code?: string | number | null;
  readonly param?: string | null;
  readonly headers?: OutgoingHttpHeaders;
}

/** How a face writes errors. */
export interface ErrorStyle {
  /** The body of an answer. */
  body(error: ErrorAnswer): unknown;
  /** A frame in a stream. */
  frame(error: ErrorAnswer): string;
}

/** How many bytes may wait in a connection before a stream holds its tokens back. */
const HIGH_WATER_BYTES = 64 * 1024;

/** One request being answered. Everything a face sends goes through it. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly record: RequestRecord;
  readonly fault: Fault | undefined;
  /** The body, parsed; undefined where there was none or it was no JSON. */
  readonly body: unknown;
  readonly rawBody: Buffer;
  readonly path: string;
  readonly #log: RequestLog;
  readonly #errors: ErrorStyle;
  #sink: ByteSink | undefined;
  #held: string[] | undefined;
  #heldEnd: string | undefined;
  #heldTimer: NodeJS.Timeout | undefined;
  #contentType = "";
  #broken = false;
  #events = 0;
  #onClose: (() => void) | undefined;

  constructor(
    given: Pick<Exchange, "request" | "response" | "record" | "fault" | "body" | "rawBody" | "path">,
    log: RequestLog,
    errors: ErrorStyle,
  ) {
    this.request = given.request;
    this.response = given.response;
    this.record = given.record;
    this.fault = given.fault;
    this.body = given.body;
    this.rawBody = given.rawBody;
    this.path = given.path;
    this.#log = log;
    this.#errors = errors;
  }

  /** Whether bytes wait in the connection, so that a stream should hold back. */
  get blocked(): boolean {
    return this.response.writableLength > HIGH_WATER_BYTES;
  }

  /** Whether nothing can be sent any more. */
  get closed(): boolean {
    return this.#broken || this.response.destroyed || this.response.writableEnded;
  }

  /** Calls `action` once when the client has left, or a fault broke the answer off. */
  onClose(action: () => void): void {
    this.#onClose = action;
  }

  /** Called by the server when the connection of an unfinished answer is gone. */
  gone(ended: RequestEnd): void {
    this.#broken = true;
    clearTimeout(this.#heldTimer);
    const action = this.#onClose;
    this.#onClose = undefined;
    action?.();
    this.#log.end(this.record, ended);
  }

  /** A whole answer of JSON. */
  json(
    value: unknown,
    { status = 200, headers = {} }: { status?: number; headers?: OutgoingHttpHeaders } = {},
  ): void {
    this.text(JSON.stringify(value), { status, headers: { "content-type": "application/json", ...headers } });
  }

  /** A whole answer of text. */
  text(body: string, answer: { status?: number; headers?: OutgoingHttpHeaders } = {}): void {
    this.bytes(body, answer);
  }

  /** An error page as a proxy before the service writes it. */
  html(status: number, headers: OutgoingHttpHeaders = {}): void {
    this.text(htmlPage(status), { status, headers: { "content-type": "text/html", ...headers } });
  }

  /** A whole answer of bytes. */
  bytes(
    body: string | Buffer,
    { status = 200, headers = {} }: { status?: number; headers?: OutgoingHttpHeaders } = {},
  ): void {
    if (this.closed) return;
    const { fault } = this;
    if (fault?.malformedAfterEvents !== undefined) return this.#whole(firstHalf(body), status, headers);
    if (
      fault?.cutAfterEvents !== undefined ||
      fault?.cutBeforeFinal ||
      fault?.stallAfterEvents !== undefined ||
      fault?.slow
    )
      return this.#brokenText(body, status, headers);
    this.#whole(body, status, headers);
  }

  /** The error of the face. */
  error(error: ErrorAnswer): void {
    this.json(this.#errors.body(error), { status: error.status, headers: error.headers ?? {} });
  }

  /** Sends the head of a stream. Later calls do nothing. */
  startStream(contentType: string, headers: OutgoingHttpHeaders = {}): void {
    if (this.#sink !== undefined || this.closed) return;
    this.#contentType = contentType;
    this.#head(200, { "content-type": contentType, ...headers });
    this.#sink = this.fault?.slow
      ? new SlowSink(this.response, this.fault.slow)
      : new DirectSink(this.response);
    if (this.fault?.delayFirstTokenMs !== undefined) {
      this.#held = [];
      this.#heldTimer = setTimeout(() => this.#letGo(), this.fault.delayFirstTokenMs);
    }
    if (this.fault !== undefined) this.#strike(this.fault);
  }

  /** One event of a stream, its line ends included. The head must be sent. */
  frame(frame: string): void {
    if (this.closed) return;
    if (this.#held !== undefined) this.#held.push(frame);
    else if (this.fault === undefined) {
      this.record.events += 1;
      this.#sink?.write(frame);
    } else this.#faultyFrame(frame, this.fault);
  }

  /** The event that ends the stream, and the end; an empty text where a face has no such event. */
  finish(frame: string): void {
    if (this.closed) return;
    if (this.#held !== undefined) {
      this.#heldEnd = frame;
      return;
    }
    const { fault } = this;
    if (fault?.cutBeforeFinal) return this.#cut(fault);
    if (fault?.noFinalNewline) {
      const { length } = frame.trimEnd();
      if (length > 0) this.#faultyFrame(frame.slice(0, length), fault);
    } else if (frame !== "") this.frame(frame);
    if (this.closed) return;
    this.#sink?.end();
  }

  /** An error in a stream that has begun, and the end. */
  failStream(error: ErrorAnswer): void {
    this.frame(this.#errors.frame(error));
    this.#sink?.end();
  }

  /** Sends a whole body as it is, whatever the fault. */
  #whole(body: string | Buffer, status: number, headers: OutgoingHttpHeaders): void {
    this.record.status = status;
    this.response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
    this.response.end(body);
  }

  #head(status: number, headers: OutgoingHttpHeaders): void {
    this.record.status = status;
    this.response.writeHead(status, headers);
    this.response.flushHeaders();
  }

  #brokenText(body: string | Buffer, status: number, headers: OutgoingHttpHeaders): void {
    const { fault = {} } = this;
    const { response } = this;
    const whole = fault.slow !== undefined && fault.cutAfterEvents === undefined && !fault.cutBeforeFinal;
    this.#head(status, { ...headers, ...(!fault.slow && { "content-length": Buffer.byteLength(body) }) });
    if (fault.slow !== undefined && whole) {
      const sink = new SlowSink(response, fault.slow);
      sink.write(body);
      sink.end();
      return;
    }
    if (fault.cutAfterEvents !== 0 && fault.stallAfterEvents !== 0) response.write(firstHalf(body));
    if (fault.stallAfterEvents === undefined)
      setImmediate(() => this.#cut({ ...fault, cut: fault.cut === "reset" ? "reset" : "close" }));
  }

  #letGo(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const frame of held) this.frame(frame);
    if (this.#heldEnd !== undefined) this.finish(this.#heldEnd);
  }

  #faultyFrame(frame: string, fault: Fault): void {
    let text = frame;
    if (fault.hugeEventBytes !== undefined && this.#events === 0) text = padded(text, fault.hugeEventBytes);
    if (fault.comments !== undefined && frame.startsWith("data:"))
      text = ": keep-alive\n\n".repeat(fault.comments) + text;
    if (fault.crlf) text = text.replaceAll("\n", "\r\n");
    this.record.events += 1;
    this.#events += 1;
    this.#sink?.write(text);
    this.#strike(fault);
  }

  /** Does what is due after the events so far. */
  #strike(fault: Fault): void {
    const events = this.#events;
    if (fault.malformedAfterEvents === events) this.#sink?.write(this.#malformed());
    if (fault.errorAfterEvents === events) {
      this.#sink?.write(this.#errors.frame({ status: 500, message: fault.message ?? "the engine died" }));
      this.#sink?.end();
      this.#stop("fault");
    }
    if (fault.stallAfterEvents === events) this.#stop(undefined);
    if (fault.cutAfterEvents === events) this.#cut(fault);
  }

  /** A frame of the stream's own kind that is no JSON. */
  #malformed(): string {
    return this.#contentType.startsWith("text/event-stream")
      ? 'data: {"choices": [{"delta\n\n'
      : '{"message": {"con\n';
  }

  #cut(fault: Fault): void {
    const { cut = "close" } = fault;
    const { response } = this;
    if (cut === "end") this.#sink?.end();
    else if (cut === "reset") response.socket?.resetAndDestroy();
    // What was written reaches the client before the connection closes.
    else response.socket?.destroySoon();
    this.#stop("fault");
  }

  /** No more events; `ended` undefined leaves the record open until the client goes. */
  #stop(ended: RequestEnd | undefined): void {
    if (ended !== undefined) this.gone(ended);
    else {
      this.#broken = true;
      const action = this.#onClose;
      this.#onClose = undefined;
      action?.();
    }
  }
}

function firstHalf(body: string | Buffer): string | Buffer {
  const half = body.length >> 1;
  return typeof body === "string" ? body.slice(0, half) : body.subarray(0, half);
}

/** The frame with one field more in its JSON object. */
function padded(frame: string, bytes: number): string {
  return frame.replace("{", () => `{"padding":"${"x".repeat(bytes)}",`);
}
