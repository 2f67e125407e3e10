/** The server's side of one call: collects what the client sends, answers once, tells when it is cancelled. */
import { answerHead, encodeTrailers, encodeTrailersOnly } from "./answer-blocks.ts";
import type { Connection } from "./connection.ts";
import type { HeaderBlock } from "./hpack-decoder.ts";
import { http2Error } from "./http2-codes.ts";
import type { MemoryAccount } from "./memory-account.ts";
import { MessageReader, messagePrefix } from "./message-reader.ts";
import type { MessageSink } from "./message-reader.ts";
import { areTrailersValid } from "./request-head.ts";
import type { RequestHead } from "./request-head.ts";
import type { Stream, StreamHandler } from "./stream.ts";
import { grpcStatus } from "./types.ts";
import type { GrpcStatusCode, Metadata, ServerCallHead, StreamServerCall, UnaryServerCall } from "./types.ts";

/** What all calls of a server share. */
export interface CallContext {
  readonly account: MemoryAccount;
  readonly maxMessageBytes: number;
  /** A handler threw: the call has been answered `internal`. */
  readonly onHandlerError: (error: unknown, path: string) => void;
}

/** What a call is made from. */
export interface CallParts {
  readonly context: CallContext;
  readonly connection: Connection;
  readonly stream: Stream;
  readonly head: RequestHead;
  readonly peer: string;
}

/**
 * - `open`: nothing or not everything has been answered.
 * - `answered`: the status is on its way; the client's leaving concerns nobody any more.
 * - `cancelled`: the client has left or its time is up.
 */
type CallState = "open" | "answered" | "cancelled";

/** What unary and streaming calls have in common. */
abstract class ServerCall implements ServerCallHead, StreamHandler, MessageSink {
  readonly #parts: CallParts;
  protected readonly reader: MessageReader;
  #state: CallState = "open";
  #headSent = false;
  #cancelListener: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #receivedBytes = 0;
  /** Answer bytes that wait in memory, on the account. */
  #unsentBytes = 0;
  /** When the call began, on the clock of `performance.now()`. */
  readonly startedAtMs = performance.now();
  /** The request is complete. */
  received = false;

  constructor(parts: CallParts) {
    this.#parts = parts;
    const { context, head } = parts;
    this.reader = new MessageReader(this, {
      maxMessageBytes: context.maxMessageBytes,
      account: context.account,
      gzip: head.gzip,
    });
    if (head.timeoutMs !== undefined) this.#timer = setTimeout(() => this.#expire(), head.timeoutMs);
  }

  get path(): string {
    return this.#parts.head.path;
  }

  get metadata(): Metadata {
    return this.#parts.head.metadata;
  }

  get timeoutMs(): number | undefined {
    return this.#parts.head.timeoutMs;
  }

  get peer(): string {
    return this.#parts.peer;
  }

  /** Nothing has been answered and the client is still there. */
  get open(): boolean {
    return this.#state === "open";
  }

  onCancel(listener: () => void): void {
    if (this.#state === "cancelled") listener();
    else this.#cancelListener = listener;
  }

  fail(code: GrpcStatusCode, message: string, metadata: Metadata = []): void {
    if (this.#state !== "open") return;
    this.#answered();
    const status = { code, message, metadata };
    const { connection, stream } = this.#parts;
    if (this.#headSent) connection.finish(stream, { block: encodeTrailers(status), more: undefined });
    else connection.sendHeaders(stream, encodeTrailersOnly(status), { endStream: true });
  }

  streamHeaders(block: HeaderBlock, endStream: boolean): void {
    if (!endStream || !areTrailersValid(block)) this.#violate();
  }

  streamData(bytes: Buffer): void {
    this.#receivedBytes += bytes.length;
    if (this.open) this.reader.feed(bytes);
  }

  streamEnd(): void {
    const { contentLength } = this.#parts.head;
    if (contentLength >= 0 && contentLength !== this.#receivedBytes) this.#violate();
    else if (this.open) this.reader.end();
  }

  streamReset(): void {
    this.#cancel();
  }

  streamGone(): void {
    clearTimeout(this.#timer);
    this.reader.release();
    this.#trackUnsent();
    this.received = true;
  }

  streamDrain(): void {
    this.#trackUnsent();
  }

  abstract takeMessage(message: Buffer): void;
  abstract takeMessagesEnd(): void;

  takeMessageError(code: GrpcStatusCode, text: string): void {
    this.fail(code, text);
    this.#tellCancelled();
  }

  /** Sends one message, opening the answer if need be. False: not all is written yet. */
  protected sendMessage(message: readonly Uint8Array[]): boolean {
    const { connection, stream } = this.#parts;
    this.#sendHead();
    const written = connection.sendMessage(stream, [messagePrefix(message), ...message], "open");
    if (!written) this.#trackUnsent();
    return written;
  }

  /** Sends the last message together with the status. */
  protected sendLast(message: readonly Uint8Array[], metadata: Metadata, whenTaken?: () => void): void {
    if (this.#state !== "open") return;
    const { connection, stream } = this.#parts;
    this.#answered();
    this.#sendHead();
    const block = encodeTrailers({ code: grpcStatus.ok, message: "", metadata });
    const end = { block, more: undefined };
    const pieces = [messagePrefix(message), ...message];
    const written = connection.sendMessage(stream, pieces, end, whenTaken);
    if (!written) this.#trackUnsent();
  }

  /** Ends the answer after its messages. */
  protected endMessages(metadata: Metadata): void {
    if (this.#state !== "open") return;
    const { connection, stream } = this.#parts;
    this.#answered();
    this.#sendHead();
    connection.finish(stream, {
      block: encodeTrailers({ code: grpcStatus.ok, message: "", metadata }),
      more: undefined,
    });
  }

  /** Gives the peer no more credit, or gives it again. */
  protected setPaused(paused: "paused" | "flowing"): void {
    const { connection, stream } = this.#parts;
    if (paused === "paused") {
      connection.pause(stream);
      this.reader.pause();
    } else {
      this.reader.resume();
      connection.resume(stream);
    }
  }

  /** Runs a handler; what it throws becomes `internal`, without its text. */
  protected guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.fail(grpcStatus.internal, "the handler failed");
      this.#parts.context.onHandlerError(error, this.path);
    }
  }

  /** Keeps the account in step with what the stream still has to send. */
  #trackUnsent(): void {
    const { outBytes } = this.#parts.stream;
    this.#parts.context.account.force(outBytes - this.#unsentBytes);
    this.#unsentBytes = outBytes;
  }

  #sendHead(): void {
    if (this.#headSent) return;
    this.#headSent = true;
    this.#parts.connection.sendHeaders(this.#parts.stream, answerHead, { endStream: false });
  }

  #answered(): void {
    this.#state = "answered";
    clearTimeout(this.#timer);
  }

  #expire(): void {
    if (this.#state !== "open") return;
    this.fail(grpcStatus.deadlineExceeded, "the deadline has passed");
    this.#tellCancelled();
  }

  #cancel(): void {
    if (this.#state !== "open") return;
    this.#state = "cancelled";
    this.#tellCancelled();
  }

  #tellCancelled(): void {
    const listener = this.#cancelListener;
    this.#cancelListener = undefined;
    if (listener) this.guarded(listener);
  }

  /** The client broke HTTP's rules on this stream. */
  #violate(): void {
    this.#parts.connection.reset(this.#parts.stream, http2Error.protocolError);
    this.#cancel();
  }
}

/** A unary call: its handler is called when the one request message is complete. */
export class UnaryCall extends ServerCall implements UnaryServerCall {
  readonly #handle: (call: UnaryServerCall) => void;
  #message: Buffer | undefined;

  constructor(parts: CallParts, handle: (call: UnaryServerCall) => void) {
    super(parts);
    this.#handle = handle;
  }

  get message(): Uint8Array {
    return this.#message ?? Buffer.alloc(0);
  }

  respond(message: readonly Uint8Array[], metadata: Metadata = [], whenTaken?: () => void): void {
    this.sendLast(message, metadata, whenTaken);
  }

  override takeMessage(message: Buffer): void {
    if (this.#message === undefined) this.#message = message;
    else this.fail(grpcStatus.unimplemented, "more than one message in a unary call");
  }

  override takeMessagesEnd(): void {
    this.received = true;
    if (!this.open) return;
    if (this.#message === undefined) this.fail(grpcStatus.unimplemented, "no message in a unary call");
    else this.guarded(() => this.#handle(this));
  }
}

/** A call with a stream of messages each way: its handler is called when the head is in. */
export class StreamCall extends ServerCall implements StreamServerCall {
  #messageListener: ((message: Uint8Array) => void) | undefined;
  #endListener: (() => void) | undefined;
  #drainListener: (() => void) | undefined;
  #full = false;

  /** Calls the handler, which sets its listeners before it returns. */
  start(handle: (call: StreamServerCall) => void): void {
    this.guarded(() => handle(this));
  }

  send(message: readonly Uint8Array[]): boolean {
    if (!this.open) return true;
    this.#full = !this.sendMessage(message);
    return !this.#full;
  }

  onDrain(listener: () => void): void {
    this.#drainListener = listener;
  }

  onMessage(listener: (message: Uint8Array) => void): void {
    this.#messageListener = listener;
  }

  onEnd(listener: () => void): void {
    this.#endListener = listener;
  }

  end(metadata: Metadata = []): void {
    this.endMessages(metadata);
  }

  pause(): void {
    this.setPaused("paused");
  }

  resume(): void {
    this.setPaused("flowing");
  }

  override streamDrain(): void {
    super.streamDrain();
    if (!this.#full) return;
    this.#full = false;
    const listener = this.#drainListener;
    if (listener && this.open) this.guarded(listener);
  }

  override takeMessage(message: Buffer): void {
    this.reader.releaseMessage(message);
    const listener = this.#messageListener;
    if (listener && this.open) this.guarded(() => listener(message));
  }

  override takeMessagesEnd(): void {
    this.received = true;
    const listener = this.#endListener;
    if (listener && this.open) this.guarded(listener);
  }
}
