/**
 * Keep-alive connections to one HTTP/1.1 server, over undici's dispatcher: push handlers, no streams,
 * no promises. Each undici client is one connection with one request at a time, so that a request is
 * called off by closing exactly its own socket, also while that socket is still connecting.
 */
import { createRequire } from "node:module";
import type { Client, Dispatcher } from "undici";
import { readableFrom } from "./readable-from.ts";
import type {
  ConnectionFactory,
  ServerAccess,
  ServerCall,
  ServerConnection,
  ServerError,
  ServerHandler,
  ServerRequest,
} from "../../contracts/connection.ts";
import type { Clock } from "../../core/clock.ts";
import type { HeaderList, HeaderMap } from "../../core/headers.ts";
import { createDialer, type Dialer, type Dialing } from "./dial-server.ts";

const { Socket } = process.getBuiltinModule("node:net");
type Socket = InstanceType<typeof Socket>;

/** Idle connections of one server that are kept. */
const maxIdle = 256;

/** Bodies from this size on may still be on their way when the call is called off; smaller ones have left at once. */
const largeBodyBytes = 65_536;

/** How long an idle connection is kept where the server does not say, ms: shorter than the 5 s of common servers, so that a reused one is rarely just being closed. */
const keepAliveMs = 4_000;

type ClientClass = new (origin: string, options: Client.Options) => Client;

/** Alone, undici's client takes half the memory of the whole package. */
function loadClient(): ClientClass {
  return createRequire(import.meta.url)("undici/lib/dispatcher/client.js") as ClientClass;
}

/** Makes connections. The clock measures the time to connect. */
export function createConnectionFactory(options: { readonly clock: Clock }): ConnectionFactory {
  let client: ClientClass | undefined;
  return (access) => {
    client ??= loadClient();
    return new UndiciConnection(client, access, createDialer(access, options.clock));
  };
}

class UndiciConnection implements ServerConnection {
  readonly #client: ClientClass;
  readonly #origin: string;
  readonly #basePath: string;
  readonly #headers: readonly string[];
  readonly #dial: Dialer;
  /** Idle connections, the last used on top. */
  readonly #idle: Slot[] = [];
  #closed = false;

  constructor(client: ClientClass, access: ServerAccess, dial: Dialer) {
    this.#client = client;
    this.#origin = access.origin;
    this.#basePath = access.basePath;
    this.#headers = flatten([], access.headers);
    this.#dial = dial;
  }

  send(request: ServerRequest, handler: ServerHandler): ServerCall {
    const slot = this.#idle.pop() ?? new Slot(this, this.#client, this.#origin, this.#dial);
    const { method, body, upload } = request;
    const headers = flatten(this.#headers.slice(), request.headers);
    if (upload?.length !== undefined) headers.push("content-length", String(upload.length));
    const isUpload = body !== undefined && body.length >= largeBodyBytes;
    const call = new UndiciCall(slot, handler, { isUpload });
    slot.client.dispatch(
      {
        method,
        path: this.#basePath + request.path,
        headers,
        body: upload === undefined ? (body === undefined ? null : asBuffer(body)) : readableFrom(upload),
      },
      call,
    );
    return call;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const slot of this.#idle) slot.destroy();
    this.#idle.length = 0;
  }

  /** Takes a connection back whose call has ended. */
  release(slot: Slot): void {
    if (this.#closed || this.#idle.length >= maxIdle) slot.destroy();
    else this.#idle.push(slot);
  }
}

/** One connection: an undici client that makes it anew when it was lost. */
class Slot {
  readonly client: Client;
  readonly #owner: UndiciConnection;
  #dialing: Dialing | undefined;
  #socket: Socket | undefined;

  constructor(owner: UndiciConnection, client: ClientClass, origin: string, dial: Dialer) {
    this.#owner = owner;
    this.client = new client(origin, {
      pipelining: 1,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      connect: (_options, callback) => {
        this.#dialing = dial((error, socket) => {
          this.#dialing = undefined;
          this.#socket = socket;
          if (socket === undefined) callback(error ?? new Error("no connection"), null);
          else callback(null, socket);
        });
      },
    });
  }

  release(): void {
    this.#owner.release(this);
  }

  /** Takes back what the system has not sent yet, where it can: the server hears of the end before it has read all. */
  reset(): void {
    const socket = this.#socket;
    if (socket !== undefined && socket.constructor === Socket && socket.remoteAddress !== undefined) {
      socket.resetAndDestroy();
    }
  }

  stopDialing(): void {
    this.#dialing?.cancel();
  }

  destroy(): void {
    this.stopDialing();
    this.client.destroy().catch(() => undefined);
  }
}

/** A running request: undici's handler on one side, the caller's on the other. */
class UndiciCall implements ServerCall, Dispatcher.DispatchHandler {
  readonly #slot: Slot;
  readonly #handler: ServerHandler;
  /** Set from the moment undici writes the request. */
  #controller: Dispatcher.DispatchController | undefined;
  readonly #isUpload: boolean;
  #answered = false;
  #ended = false;
  #released = false;

  constructor(slot: Slot, handler: ServerHandler, { isUpload }: { readonly isUpload: boolean }) {
    this.#slot = slot;
    this.#handler = handler;
    this.#isUpload = isUpload;
  }

  get sent(): boolean {
    return this.#controller !== undefined;
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    if (!this.#ended) this.#controller?.resume();
  }

  cancel(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#controller === undefined) return this.#slot.stopDialing();
    if (this.#isUpload && !this.#answered) this.#slot.reset();
    this.#controller.abort(cancelled);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended) controller.abort(cancelled);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: HeaderMap): void {
    if (this.#ended || status < 200) return;
    this.#answered = true;
    this.#handler.head(status, headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#ended) this.#handler.data(chunk);
  }

  onResponseEnd(): void {
    this.#release();
    if (this.#ended) return;
    this.#ended = true;
    this.#handler.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#release();
    if (this.#ended) return;
    this.#ended = true;
    this.#handler.failed(describe(error, this.#controller !== undefined));
  }

  #release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#slot.release();
  }
}

const cancelled = new Error("called off");

function describe(error: Error & { code?: unknown }, sent: boolean): ServerError {
  const { name, code, message } = error;
  if (!sent) return { kind: "connect", sent, message };
  // An answer that lacks its end is one that was cut; the parser gives that no code of its own.
  const isUnparsed = name === "HTTPParserError" && !message.includes("EOF");
  const kind = isUnparsed || code === "UND_ERR_HEADERS_OVERFLOW" ? "malformed" : "closed";
  return { kind, sent, message };
}

/** Appends names and values in turn. */
function flatten(flat: string[], headers: HeaderList): string[] {
  for (const [name, value] of headers) flat.push(name, value);
  return flat;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
