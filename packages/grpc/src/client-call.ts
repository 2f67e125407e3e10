/** The client's side of one unary call, from `unary()` to the one callback. */
import { encodeGrpcTimeout } from "./grpc-timeout.ts";
import { encodeHeaders } from "./hpack-encoder.ts";
import type { HeaderBlock } from "./hpack-decoder.ts";
import { http2Error } from "./http2-codes.ts";
import type { Connection } from "./connection.ts";
import type { MemoryAccount } from "./memory-account.ts";
import { cleanMetadata } from "./metadata.ts";
import { MessageReader, messagePrefix } from "./message-reader.ts";
import type { MessageSink } from "./message-reader.ts";
import { readResponseBlock } from "./response-head.ts";
import type { ResponseBlock } from "./response-head.ts";
import { statusFromHttp, statusFromReset } from "./status-text.ts";
import type { ResetCause, Stream, StreamHandler } from "./stream.ts";
import { grpcStatus } from "./types.ts";
import type { Call, GrpcStatusCode, Metadata, UnaryHandler, UnaryRequest } from "./types.ts";

/** What a call needs from its channel. */
export interface ClientCallLink {
  readonly account: MemoryAccount;
  readonly maxMessageBytes: number;
  /** The fixed part of the request's header block for a path. */
  headBlock(path: string): Uint8Array;
  /** The call is over before it was sent: forget it. */
  forget(call: ClientCall): void;
}

/**
 * - `waiting`: for the connection or for a free stream.
 * - `sent`: the request was given to the connection.
 * - `over`: the handler was called or the call was cancelled.
 */
type CallState = "waiting" | "sent" | "over";

const noMetadata: Metadata = [];

/** Of smaller messages nobody is told when the kernel has them. */
const largeMessageBytes = 65_536;

/** One unary call. */
export class ClientCall implements Call, StreamHandler, MessageSink {
  readonly #link: ClientCallLink;
  readonly #request: UnaryRequest;
  readonly #handler: UnaryHandler;
  readonly #deadlineMs: number;
  #state: CallState = "waiting";
  #timer: NodeJS.Timeout | undefined;
  #connection: Connection | undefined;
  #stream: Stream | undefined;
  #reader: MessageReader | undefined;
  #head: ResponseBlock | undefined;
  #trailers: ResponseBlock | undefined;
  #message: Buffer | undefined;
  taken = false;

  constructor(link: ClientCallLink, request: UnaryRequest, handler: UnaryHandler) {
    this.#link = link;
    this.#request = request;
    this.#handler = handler;
    const { timeoutMs } = request;
    this.#deadlineMs = timeoutMs === undefined ? 0 : performance.now() + timeoutMs;
    if (timeoutMs !== undefined) this.#timer = setTimeout(() => this.#expire(), timeoutMs);
  }

  /** Sends the request; the connection has room for a stream. Does nothing when the call is over. */
  send(connection: Connection): void {
    if (this.#state !== "waiting") return;
    this.#state = "sent";
    this.#connection = connection;
    const stream = connection.openStream(this);
    this.#stream = stream;
    const { path, message } = this.#request;
    connection.sendHeaders(stream, this.#link.headBlock(path), {
      more: this.#moreHeaders(),
      endStream: false,
    });
    const prefix = messagePrefix(message);
    const isLarge = prefix.readUInt32BE(1) >= largeMessageBytes;
    const whenTaken = isLarge ? (): void => void (this.taken = true) : undefined;
    connection.sendMessage(stream, [prefix, ...message], "endStream", whenTaken);
  }

  cancel(): void {
    if (this.#state === "over") return;
    this.#finish();
    this.#abandon();
  }

  /** Ends a call that was not sent. */
  failUnsent(code: GrpcStatusCode, message: string): void {
    this.#fail(code, message, { unsent: true });
  }

  streamHeaders(block: HeaderBlock, endStream: boolean): void {
    const understood = readResponseBlock(block);
    if (block.tooLarge) this.#giveUp(grpcStatus.resourceExhausted, "the answer's headers are too large");
    else if (this.#head && !endStream)
      this.#giveUp(grpcStatus.internal, "a second header block inside the answer");
    else if (this.#head || (endStream && understood.status !== undefined)) this.#trailers = understood;
    // 1xx: an interim answer.
    else if (!/^1\d\d$/.test(understood.httpStatus)) this.#begin(understood);
  }

  #begin(head: ResponseBlock): void {
    this.#head = head;
    if (head.httpStatus !== "200" || !head.isGrpc) {
      const code = head.httpStatus === "200" ? grpcStatus.unknown : statusFromHttp(head.httpStatus);
      this.#giveUp(code, `the peer answered HTTP ${head.httpStatus || "without a status"}, not gRPC`);
    } else if (head.unknownEncoding)
      this.#giveUp(grpcStatus.internal, "the answer has an unknown grpc-encoding");
  }

  streamData(bytes: Buffer): void {
    if (this.#state === "over") return;
    if (!this.#head) {
      this.#giveUp(grpcStatus.internal, "an answer without headers");
      return;
    }
    this.#reader ??= new MessageReader(this, {
      maxMessageBytes: this.#link.maxMessageBytes,
      account: this.#link.account,
      gzip: this.#head.gzip,
    });
    this.#reader.feed(bytes);
  }

  streamEnd(): void {
    if (this.#state !== "over") {
      if (this.#reader) this.#reader.end();
      else this.takeMessagesEnd();
    }
    // The answer is complete: what is left of the upload is of no use.
    if (this.#stream && !this.#stream.localClosed) this.#abandon();
  }

  streamReset(code: number, cause: ResetCause): void {
    if (cause === "connection")
      this.#fail(grpcStatus.unavailable, "the connection was lost", { unsent: false });
    else if (cause === "violation")
      this.#fail(grpcStatus.internal, "the peer broke the protocol", { unsent: false });
    else
      this.#fail(statusFromReset(code), `the peer reset the stream (code ${code})`, {
        unsent: code === http2Error.refusedStream,
      });
  }

  streamGone(): void {
    this.#stream = undefined;
  }

  streamDrain(): void {}

  takeMessage(message: Buffer): void {
    if (this.#message) this.#giveUp(grpcStatus.unimplemented, "more than one message in a unary answer");
    else this.#message = message;
  }

  takeMessagesEnd(): void {
    const trailers = this.#trailers;
    if (!trailers || trailers.status === undefined)
      this.#giveUp(grpcStatus.unknown, "the answer ended without a status");
    else if (trailers.status !== grpcStatus.ok)
      this.#fail(trailers.status, trailers.message, { unsent: false, metadata: this.#metadata(trailers) });
    else if (!this.#message) this.#giveUp(grpcStatus.unimplemented, "no message in a unary answer");
    else this.#done(this.#message, this.#metadata(trailers));
  }

  takeMessageError(code: GrpcStatusCode, text: string): void {
    this.#giveUp(code, text);
  }

  /** The head's metadata followed by the trailers'. */
  #metadata(trailers: ResponseBlock): Metadata {
    const head = this.#head?.metadata ?? noMetadata;
    return head.length === 0 ? trailers.metadata : [...head, ...trailers.metadata];
  }

  #moreHeaders(): Uint8Array | undefined {
    const { metadata, timeoutMs } = this.#request;
    if (timeoutMs === undefined && !metadata?.length) return undefined;
    const timeout: [string, string][] =
      timeoutMs === undefined
        ? []
        : [["grpc-timeout", encodeGrpcTimeout(this.#deadlineMs - performance.now())]];
    return encodeHeaders([...cleanMetadata(metadata ?? noMetadata), ...timeout]);
  }

  #expire(): void {
    const unsent = this.#state === "waiting";
    this.#fail(grpcStatus.deadlineExceeded, "the deadline has passed", { unsent });
    this.#abandon();
  }

  /** Fails and resets the stream, whose rest is of no use. */
  #giveUp(code: GrpcStatusCode, message: string): void {
    this.#fail(code, message, { unsent: false });
    this.#abandon();
  }

  #fail(
    code: GrpcStatusCode,
    message: string,
    more: { readonly unsent: boolean; readonly metadata?: Metadata },
  ): void {
    if (this.#state === "over") return;
    this.#finish();
    const failure = { code, message, metadata: more.metadata ?? noMetadata, unsent: more.unsent };
    tell(() => this.#handler.failed(failure));
  }

  #done(message: Buffer, metadata: Metadata): void {
    if (this.#state === "over") return;
    this.#finish();
    tell(() => this.#handler.done(message, metadata));
  }

  #finish(): void {
    const waiting = this.#state === "waiting";
    this.#state = "over";
    clearTimeout(this.#timer);
    this.#reader?.release();
    if (waiting) this.#link.forget(this);
  }

  #abandon(): void {
    if (this.#stream) this.#connection?.reset(this.#stream, http2Error.cancel);
  }
}

/** What a handler throws is thrown again outside of the connection, which would otherwise lose its place. */
function tell(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}
