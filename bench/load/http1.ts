/** Carries load over HTTP/1.1 on raw sockets: one keep-alive connection a slot, one request in flight on each. */
import net from "node:net";
import { EventStamps } from "./event-stamps.ts";
import { Http1ResponseParser } from "./http1-parser.ts";
import type { Http1Request } from "./http1-requests.ts";
import type { ResponseCheck, Target } from "./load-spec.ts";
import { failureOf } from "./transport.ts";
import type { Transport, TransportEvents } from "./transport.ts";

/** Bytes read at once; one buffer serves all connections, since each piece is consumed before the next is read. */
const READ_BUFFER_BYTES = 262_144;

/** What an HTTP/1.1 transport needs. */
export interface Http1Options {
  readonly target: Target;
  readonly connections: number;
  readonly requests: readonly Http1Request[];
  readonly check?: ResponseCheck | undefined;
  /** Looks for stamps in the answers. */
  readonly stampedEvents?: boolean;
}

/** What the connections of a transport share. */
interface Shared extends Http1Options {
  readonly readBuffer: Buffer;
  readonly events: TransportEvents;
  /** Position in the list of the next request. */
  nextRequest: number;
  connects: number;
}

/** Prepares the transport; nothing is connected before `open`. */
export function createHttp1Transport(options: Http1Options): Transport {
  let connections: Connection[] = [];
  let shared: Shared | null = null;
  return {
    async open(events) {
      shared = {
        ...options,
        readBuffer: Buffer.allocUnsafe(READ_BUFFER_BYTES),
        events,
        nextRequest: 0,
        connects: 0,
      };
      const all = shared;
      connections = Array.from({ length: options.connections }, (_, slot) => new Connection(slot, all));
      await Promise.all(connections.map((connection) => connection.connect()));
    },
    send: (slot) => connections[slot]?.send(),
    abandon: (slot) => connections[slot]?.abandon(),
    get connects() {
      return shared?.connects ?? 0;
    },
    close: () => connections.forEach((connection) => connection.abandon()),
  };
}

/** One slot: a socket that is opened again when it is gone, and the request in flight on it, if any. */
class Connection {
  readonly #slot: number;
  readonly #shared: Shared;
  readonly #parser: Http1ResponseParser;
  readonly #stamps = new EventStamps();
  #events = 0;
  #socket: net.Socket | null = null;
  #state: "closed" | "connecting" | "open" = "closed";
  /** Position of the request in flight, or -1. */
  #request = -1;
  #error: NodeJS.ErrnoException | null = null;

  constructor(slot: number, shared: Shared) {
    this.#slot = slot;
    this.#shared = shared;
    const found = (us: number): void => shared.events.event(slot, us, this.#events++ === 0);
    this.#parser = new Http1ResponseParser(
      shared.stampedEvents === true
        ? (bytes, start, end) => this.#stamps.read(bytes, start, end, found)
        : undefined,
    );
  }

  /** Opens the socket; resolves when it is open or has failed. */
  connect(): Promise<void> {
    return new Promise((resolve) => {
      const socket = this.#openSocket();
      socket.once("connect", resolve);
      socket.once("close", resolve);
    });
  }

  send(): void {
    const { requests } = this.#shared;
    this.#request = this.#shared.nextRequest;
    this.#shared.nextRequest = (this.#request + 1) % requests.length;
    if (this.#state === "open") this.#write();
    else if (this.#state === "closed") this.#openSocket();
  }

  abandon(): void {
    this.#request = -1;
    this.#drop();
  }

  #openSocket(): net.Socket {
    const { target, readBuffer } = this.#shared;
    const onread = { buffer: readBuffer, callback: (size: number) => this.#read(size) };
    const socket = net.connect({ ...target, noDelay: true, onread });
    this.#socket = socket;
    this.#state = "connecting";
    this.#error = null;
    this.#shared.connects += 1;
    socket.once("connect", () => this.#connected(socket));
    socket.on("error", (error) => this.#broke(socket, error));
    socket.once("end", () => this.#ended(socket));
    socket.once("close", () => this.#closed(socket));
    return socket;
  }

  #connected(socket: net.Socket): void {
    if (socket !== this.#socket) return;
    this.#state = "open";
    if (this.#request >= 0) this.#write();
  }

  #write(): void {
    const request = this.#shared.requests[this.#request];
    if (request === undefined) return;
    this.#stamps.reset();
    this.#events = 0;
    this.#parser.start({ bodiless: request.bodiless, keepBody: this.#shared.check !== undefined });
    this.#socket?.write(request.bytes);
  }

  /** A piece of the answer lies in the shared buffer. Returning true keeps the socket reading. */
  #read(size: number): boolean {
    if (this.#request < 0) {
      this.#drop();
      return true;
    }
    const state = this.#parser.read(this.#shared.readBuffer, 0, size);
    if (state === "complete") this.#complete();
    else if (state === "malformed") this.#fail("malformed");
    return true;
  }

  #complete(): void {
    const request = this.#request;
    this.#request = -1;
    if (!this.#parser.keepAlive) this.#drop();
    const { status } = this.#parser;
    const right = this.#shared.check?.({ request, status, body: this.#parser.body }) ?? true;
    if (right) this.#shared.events.answered(this.#slot, status, status >= 200 && status < 300);
    else this.#shared.events.failed(this.#slot, "check");
  }

  #broke(socket: net.Socket, error: NodeJS.ErrnoException): void {
    if (socket === this.#socket) this.#error = error;
  }

  /** The server will read no more: an idle connection must not carry the next request. */
  #ended(socket: net.Socket): void {
    if (socket === this.#socket && this.#request < 0) this.#drop();
  }

  /** The socket is gone. Between two requests that is no failure: servers may close an idle connection. */
  #closed(socket: net.Socket): void {
    if (socket !== this.#socket) return;
    const connecting = this.#state === "connecting";
    this.#socket = null;
    this.#state = "closed";
    if (this.#request < 0) return;
    if (this.#error !== null) this.#fail(failureOf(this.#error));
    else if (!connecting && this.#parser.end() === "complete") this.#complete();
    else this.#fail("closed");
  }

  #fail(kind: Parameters<TransportEvents["failed"]>[1]): void {
    this.#request = -1;
    this.#drop();
    this.#shared.events.failed(this.#slot, kind);
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#state = "closed";
    socket?.destroy();
  }
}
