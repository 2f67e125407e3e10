/** Connections to one HTTP server, as a port: attempts, probes and operators' calls all go through it. */
import type { HeaderList, HeaderMap } from "../core/headers.ts";
import type { BodyStream } from "./body-stream.ts";

/** How a server is reached and what every request to it carries. */
export interface ServerAccess {
  /** `http://host:port` or `https://host:port`, without a path. */
  readonly origin: string;
  /** Goes before every path; empty or with a leading and without a closing slash. */
  readonly basePath: string;
  /** The address to connect to where it is not to be looked up: one of several of a name. */
  readonly address: string | undefined;
  /** Path of a Unix socket to connect to instead; the origin then only names the host. */
  readonly socketPath: string | undefined;
  /** Credentials and fixed headers of the pool, names in lower case. */
  readonly headers: HeaderList;
  /** PEM certificates of the authorities trusted for this server; undefined: those that Node trusts. */
  readonly ca: string | undefined;
  /** Name the certificate must carry; undefined: the origin's host. */
  readonly serverName: string | undefined;
  /** Any certificate will do. Default false. */
  readonly insecure?: boolean;
  /** PEM texts of the certificate that is shown to the server, and of its key. */
  readonly clientCertificate?: { readonly cert: string; readonly key: string } | undefined;
  readonly connectTimeoutMs: number;
}

/** A request to a server. Framing, `host`, and the access headers are the connection's. */
export interface ServerRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS";
  readonly path: string;
  readonly headers: HeaderList;
  readonly body: Uint8Array | undefined;
  /** What follows `body`, where a large one is not joined. */
  readonly rest?: readonly Uint8Array[];
  /** Not to be sent over a kept connection, which the server may be closing just now. */
  readonly needsNewConnection?: boolean;
  /** The handler keeps nothing of a chunk beyond its call: the chunk's memory may be used again at once. Default false. */
  readonly borrowsChunks?: boolean;
  /**
   * A body that is sent as it comes, instead of `body`: with `content-length` where it says its
   * length, else chunked. It is read once a connection is there, and paused while the server takes no more.
   */
  readonly upload?: BodyStream | undefined;
}

/** Why there is no (more) answer. */
export interface ServerError {
  /**
   * - `connect`: no connection could be made: refused, unknown name, timeout, TLS.
   * - `closed`: the server closed or reset the connection before or within its answer.
   * - `malformed`: what it sent is not HTTP.
   */
  readonly kind: "connect" | "closed" | "malformed";
  /** False when it is certain that no byte of the request reached the server. */
  readonly sent: boolean;
  /** For people: what the system said. */
  readonly message: string;
  /** True where this process had no file descriptor or memory for a connection: it says nothing of the server. Default false. */
  readonly isOurs?: boolean;
}

/** Who hears of an answer. Called synchronously: `head`, any number of `data`, then `end`; or `failed` at any time. Nothing after `cancel`. */
export interface ServerHandler {
  head(status: number, headers: HeaderMap): void;
  /** `isLast`: `end` follows before this turn of the event loop is over. */
  data(chunk: Uint8Array, isLast: boolean): void;
  end(): void;
  failed(error: ServerError): void;
}

/** A running request. */
export interface ServerCall {
  /** False as long as it is certain that no byte of the request was sent. */
  readonly sent: boolean;
  /** Stops reading; the server's sending comes to a halt once the socket's buffers are full. */
  pause(): void;
  resume(): void;
  /** Closes the connection at once. The handler is not called again. Idempotent. */
  cancel(): void;
}

/** Keep-alive connections to one server. */
export interface ServerConnection {
  send(request: ServerRequest, handler: ServerHandler): ServerCall;
  /** Ends idle connections at once and busy ones when their answers are complete. Idempotent. */
  close(): void;
}

/** Opens nothing by itself: connections are made when requests need them. */
export type ConnectionFactory = (access: ServerAccess) => ServerConnection;
