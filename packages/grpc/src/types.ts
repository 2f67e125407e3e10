/**
 * The seam between gRPC's meaning and its framing: what a channel and a server look like to the
 * code that calls or answers methods. Push, not pull: answers arrive as calls on a handler object,
 * never as a promise or a stream object per message.
 */

/** Canonical gRPC status codes (https://grpc.io/docs/guides/status-codes/). */
export const grpcStatus = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

/** One of the seventeen canonical status codes. */
export type GrpcStatusCode = (typeof grpcStatus)[keyof typeof grpcStatus];

/** Header or trailer pairs; names in lower case, binary values (`-bin`) in base64. */
export type Metadata = readonly (readonly [name: string, value: string])[];

/** How a call ended when it did not end well. */
export interface GrpcFailure {
  readonly code: GrpcStatusCode;
  readonly message: string;
  readonly metadata: Metadata;
  /**
   * True when not one byte of the request was given to the socket, or the peer said that it did not
   * look at it (REFUSED_STREAM, GOAWAY): repeating it is always safe.
   */
  readonly unsent: boolean;
}

/** Receives one unary answer: exactly one of the two is called, once, unless the call is cancelled first. */
export interface UnaryHandler {
  /** The whole response message. It may be a view into a larger buffer that is not reused. */
  done(message: Uint8Array, metadata: Metadata): void;
  failed(failure: GrpcFailure): void;
}

/** A unary request. */
export interface UnaryRequest {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** The serialized message as consecutive pieces, written without being joined or copied; not to be changed until the call ends. */
  readonly message: readonly Uint8Array[];
  /** Sent as `grpc-timeout`; when it passes the call fails with `deadlineExceeded` and the stream is reset. None by default. */
  readonly timeoutMs?: number;
  readonly metadata?: Metadata;
}

/** A running call. */
export interface Call {
  /** Resets the stream. The handler is not called any more. Does nothing once the call has ended. */
  cancel(): void;
  /**
   * The kernel has the whole of a large message (64 KB): nothing native uses its pieces any more, and their memory may
   * be freed. A server may answer before that. Always false for a smaller message.
   */
  readonly taken: boolean;
}

/**
 * State of a channel's one connection.
 * - `idle`: not connected and not trying.
 * - `connecting`: the socket or the HTTP/2 preface is under way; calls wait.
 * - `ready`: the peer's SETTINGS have arrived.
 * - `failed`: the last connection broke or could not be made; the next call tries again.
 * - `closed`: `close()` was called; calls fail with `unavailable`.
 */
export type ChannelState = "idle" | "connecting" | "ready" | "failed" | "closed";

/** A client's connection to one address. */
export interface GrpcChannel {
  readonly state: ChannelState;
  unary(request: UnaryRequest, handler: UnaryHandler): Call;
  /** Connects now. Calls back once: with nothing when ready, else with the failure. */
  connect(done: (failure?: GrpcFailure) => void): void;
  /** Called at each change of state. One listener; a second replaces the first. */
  onState(listener: (state: ChannelState) => void): void;
  /** Fails what is running with `unavailable` and destroys the socket. Idempotent. */
  close(): void;
}

/** How to reach a peer. */
export interface ChannelOptions {
  /** `unix:/path/to.sock` or `host:port`. */
  readonly address: string;
  /** TLS with ALPN `h2` instead of plain text. */
  readonly tls?: {
    readonly ca?: string;
    readonly serverName?: string;
    readonly cert?: string;
    readonly key?: string;
  };
  /** Default 5,000 ms; covers the socket, TLS and the peer's SETTINGS. */
  readonly connectTimeoutMs?: number;
  /** Largest message accepted from the peer. Default 256 MiB. */
  readonly maxMessageBytes?: number;
  /** Bytes of answers kept at once over all calls; beyond it a call fails with `resourceExhausted`. Default 1 GiB. */
  readonly maxTotalBytes?: number;
  /** Calls that may wait for a connection or for a free stream; beyond it they fail with `unavailable`, unsent. Default 1,024. */
  readonly maxWaitingCalls?: number;
  /** A PING is sent when nothing was heard for this long while calls run; unanswered for as long again, the connection is destroyed. Default 0: off (a busy engine cannot answer). */
  readonly keepAliveMs?: number;
}

/** What every server-side call knows. */
export interface ServerCallHead {
  readonly path: string;
  readonly metadata: Metadata;
  /** Time the client gives, from `grpc-timeout`; undefined without one. */
  readonly timeoutMs: number | undefined;
  /** Remote address, or `unix`. */
  readonly peer: string;
  /** Called once when the client resets the stream, its connection ends, or its timeout passes before the answer. */
  onCancel(listener: () => void): void;
}

/** A unary call to answer. */
export interface UnaryServerCall extends ServerCallHead {
  readonly message: Uint8Array;
  /**
   * Sends the answer in pieces without joining them, and ends the call. `whenTaken` is called once the kernel has all
   * of it, so that memory may be freed; not at all when the client is gone before.
   */
  respond(message: readonly Uint8Array[], metadata?: Metadata, whenTaken?: () => void): void;
  fail(code: GrpcStatusCode, message: string, metadata?: Metadata): void;
}

/** A call with a stream of messages in both directions. */
export interface StreamServerCall extends ServerCallHead {
  /** Sends one message; false: the window or the socket is full, wait for `onDrain`. */
  send(message: readonly Uint8Array[]): boolean;
  onDrain(listener: () => void): void;
  onMessage(listener: (message: Uint8Array) => void): void;
  /** The client has half-closed. */
  onEnd(listener: () => void): void;
  /** Holds messages back and, once a window's worth (16 MiB) is on its way, the client too. For a handler that has enough to do. */
  pause(): void;
  /** Lets messages come again. */
  resume(): void;
  end(metadata?: Metadata): void;
  fail(code: GrpcStatusCode, message: string, metadata?: Metadata): void;
}

/** How a path is answered. */
export type MethodHandler =
  | { readonly kind: "unary"; handle(call: UnaryServerCall): void }
  | { readonly kind: "stream"; handle(call: StreamServerCall): void };

/** What a server needs. */
export interface GrpcServerOptions {
  /** By `/package.Service/Method`. Unknown paths are answered `unimplemented`. */
  readonly methods: ReadonlyMap<string, MethodHandler>;
  /**
   * Asked once per call when its headers are in, before a body byte is kept: a failure refuses it.
   * Only the head is known.
   */
  readonly admit?: (
    head: ServerCallHead,
  ) =>
    | { readonly code: GrpcStatusCode; readonly message: string; readonly metadata?: Metadata | undefined }
    | undefined;
  /** Largest message accepted. Default 256 MiB; beyond it `resourceExhausted`. */
  readonly maxMessageBytes?: number;
  /** Bytes kept over all calls of the server; beyond it `resourceExhausted`. Default 512 MiB. */
  readonly maxTotalBytes?: number;
  /** Default 256. */
  readonly maxConcurrentStreams?: number;
  /** Default 1,024. */
  readonly maxConnections?: number;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Streams one client may reset (or have reset for its mistakes); beyond it the connection is ended with ENHANCE_YOUR_CALM. Default 1,000 at once, 100 a second. */
  readonly streamResets?: { readonly burst: number; readonly perSecond: number };
  /** PING, SETTINGS, PRIORITY and empty frames, resets of streams that are over; beyond it the same. Default 2,000 at once, 500 a second. */
  readonly controlFrames?: { readonly burst: number; readonly perSecond: number };
  /** From accept to the client's preface and SETTINGS. Default 10,000 ms. */
  readonly prefaceTimeoutMs?: number;
  /** From a unary call's head to the end of its message; beyond it `deadlineExceeded`. Default 120,000 ms. */
  readonly requestTimeoutMs?: number;
  /** A client that has something to take and takes nothing for this long is disconnected. Default 60,000 ms. */
  readonly stallTimeoutMs?: number;
  /** Over TCP, silence after which a PING is sent; as long again without a sign and the connection is destroyed. Default 60,000 ms. */
  readonly pingAfterMs?: number;
  /** Told what a handler threw; the call has been answered `internal`. */
  readonly onHandlerError?: (error: unknown, path: string) => void;
}

/** A listening server. */
export interface GrpcServer {
  /** Resolves with the bound port (0 for a Unix socket). Rejects when the address is taken. */
  listen(
    address: { readonly host?: string; readonly port: number } | { readonly path: string },
  ): Promise<number>;
  /** Takes another certificate for new connections; those that are open stay. Throws a TypeError for a server without TLS. */
  renew(tls: { readonly cert: string; readonly key: string }): void;
  /** Stops accepting, tells clients (GOAWAY), resolves when the last call has ended or `graceMs` has passed, then destroys what is left. Idempotent. */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}
