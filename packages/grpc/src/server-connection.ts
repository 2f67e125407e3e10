/** One client of a server: turns its streams into calls and watches over its manners. */
import { encodeTrailersOnly } from "./answer-blocks.ts";
import type { ReadableSocket } from "./chunk-source.ts";
import { Connection } from "./connection.ts";
import type { ConnectionEvents } from "./connection.ts";
import type { HeaderBlock } from "./hpack-decoder.ts";
import { http2Error } from "./http2-codes.ts";
import { Liveness } from "./liveness.ts";
import { answerPlainHttp } from "./plain-http-answer.ts";
import { readRequestHead } from "./request-head.ts";
import type { RequestHead } from "./request-head.ts";
import { StreamCall, UnaryCall } from "./server-call.ts";
import type { CallContext, CallParts } from "./server-call.ts";
import type { Stream, StreamHandler } from "./stream.ts";
import { grpcStatus } from "./types.ts";
import type { GrpcServerOptions, GrpcStatusCode } from "./types.ts";

/** Times after which a server gives up on a connection or a request, in milliseconds. */
export interface ServerTimeouts {
  /** From the connection's start to the client's preface and SETTINGS. */
  readonly prefaceTimeoutMs: number;
  /** From a call's head to the end of its request (unary calls). */
  readonly requestTimeoutMs: number;
  /** With something to send, how long the client may take nothing. */
  readonly stallTimeoutMs: number;
  /** Silence after which a PING is sent over TCP; as long again without a sign and the connection is dead. */
  readonly pingAfterMs: number;
}

/** What a server gives each of its connections. */
export interface ServerConnectionParts {
  readonly socket: ReadableSocket;
  readonly options: GrpcServerOptions;
  readonly timeouts: ServerTimeouts;
  readonly context: CallContext;
  readonly onClose: (connection: ServerConnection) => void;
}

/** Largest header list accepted, as SETTINGS_MAX_HEADER_LIST_SIZE counts it. */
const maxHeaderListBytes = 16_384;
/** Our SETTINGS_MAX_CONCURRENT_STREAMS unless the options say otherwise. */
const defaultConcurrentStreams = 256;

const dropped: StreamHandler = {
  streamHeaders: () => {},
  streamData: () => {},
  streamEnd: () => {},
  streamReset: () => {},
  streamDrain: () => {},
  streamGone: () => {},
};

/** A client's connection, from accept to close. */
export class ServerConnection implements ConnectionEvents {
  readonly #parts: ServerConnectionParts;
  readonly #connection: Connection;
  readonly #liveness: Liveness;
  readonly #peer: string;
  /** Unary calls whose request is not complete. */
  readonly #receiving: UnaryCall[] = [];
  readonly #startedAtMs = performance.now();
  #takenBytes = 0;
  #progressAtMs = performance.now();
  #draining = false;

  constructor(parts: ServerConnectionParts) {
    this.#parts = parts;
    this.#peer = parts.socket.socket.remoteAddress ?? "unix";
    this.#connection = new Connection(parts.socket, {
      role: "server",
      maxHeaderListBytes,
      maxConcurrentStreams: parts.options.maxConcurrentStreams ?? defaultConcurrentStreams,
      controlFrames: parts.options.controlFrames,
      resets: parts.options.streamResets ?? { burst: 1_000, perSecond: 100 },
      events: this,
    });
    this.#liveness = new Liveness(this.#connection, parts.timeouts.pingAfterMs);
  }

  /** How long nothing was heard from it while it had no call; 0 while it has one. */
  idleMs(nowMs: number): number {
    return this.#connection.streams > 0 ? 0 : nowMs - this.#connection.heardAtMs;
  }

  /** Takes no further calls, and closes when those running have ended. */
  drain(): void {
    this.#draining = true;
    this.#connection.goAway();
    this.onStreamGone();
  }

  destroy(reason: string): void {
    this.#connection.destroy(reason);
  }

  /** Checks the clocks; called now and then by the server. */
  sweep(nowMs: number): void {
    const { timeouts } = this.#parts;
    if (!this.#connection.ready) {
      if (nowMs - this.#startedAtMs > timeouts.prefaceTimeoutMs) this.destroy("no preface in time");
      return;
    }
    for (const call of this.#receiving.slice()) {
      if (call.received) this.#unwatch(call);
      else if (nowMs - call.startedAtMs > timeouts.requestTimeoutMs)
        call.takeMessageError(grpcStatus.deadlineExceeded, "the request did not arrive in time");
    }
    this.#checkStall(nowMs);
    // A Unix socket's peer cannot vanish unnoticed, and may be busy for long: it is not asked.
    if (this.#peer !== "unix" && !this.#liveness.check(nowMs)) this.destroy("no answer to PING");
  }

  #checkStall(nowMs: number): void {
    const { takenBytes, unsentBytes } = this.#connection;
    if (unsentBytes === 0 || takenBytes !== this.#takenBytes) {
      this.#takenBytes = takenBytes;
      this.#progressAtMs = nowMs;
    } else if (nowMs - this.#progressAtMs > this.#parts.timeouts.stallTimeoutMs)
      this.#connection.fail(http2Error.enhanceYourCalm, "the client takes nothing");
  }

  onReady(): void {}

  onGoAway(): void {
    this.drain();
  }

  onStreamGone(): void {
    if (this.#draining && this.#connection.streams === 0) this.#connection.close("drained");
  }

  onClose(): void {
    this.#parts.onClose(this);
  }

  onRequest(stream: Stream, block: HeaderBlock): StreamHandler {
    const head = readRequestHead(block);
    switch (head.kind) {
      case "grpc":
        return this.#onCall(stream, head);
      case "http":
        return answerPlainHttp({ connection: this.#connection, stream, ...head });
      case "refused":
        return this.#refuse(stream, head.code, head.text);
      case "malformed":
        this.#connection.reset(stream, http2Error.protocolError);
        return dropped;
    }
  }

  #onCall(stream: Stream, head: RequestHead): StreamHandler {
    const { options, context } = this.#parts;
    const method = options.methods.get(head.path);
    if (!method) return this.#refuse(stream, grpcStatus.unimplemented, `unknown method ${head.path}`);
    const parts: CallParts = { context, connection: this.#connection, stream, head, peer: this.#peer };
    if (method.kind === "stream") {
      const call = new StreamCall(parts);
      if (this.#admit(call)) call.start((each) => method.handle(each));
      return call;
    }
    const call = new UnaryCall(parts, (each) => {
      this.#unwatch(call);
      method.handle(each);
    });
    if (this.#admit(call) && !stream.remoteClosed) this.#watch(call);
    return call;
  }

  #admit(call: UnaryCall | StreamCall): boolean {
    const refusal = this.#parts.options.admit?.(call);
    if (refusal) call.fail(refusal.code, refusal.message, refusal.metadata);
    return refusal === undefined;
  }

  /** A call whose message is late is ended by the sweep; one that is whole, or over, is forgotten. */
  #watch(call: UnaryCall): void {
    if (this.#receiving.length > 2 * defaultConcurrentStreams)
      for (const each of this.#receiving.filter((one) => one.received)) this.#unwatch(each);
    this.#receiving.push(call);
  }

  #unwatch(call: UnaryCall): void {
    const index = this.#receiving.lastIndexOf(call);
    if (index < 0) return;
    const last = this.#receiving.pop();
    if (last !== undefined && index < this.#receiving.length) this.#receiving[index] = last;
  }

  #refuse(stream: Stream, code: GrpcStatusCode, message: string): StreamHandler {
    this.#connection.sendHeaders(stream, encodeTrailersOnly({ code, message, metadata: [] }), {
      endStream: true,
    });
    return dropped;
  }
}
