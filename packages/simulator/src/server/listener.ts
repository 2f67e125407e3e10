/** A server on a port that can go away and come back, and knows its connections. */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** What is known of a connection. */
export interface Connection {
  readonly id: number;
  /** Requests that came over it. */
  requests: number;
}

/** Listens on the loopback unless told otherwise. */
export class Listener {
  readonly #server: Server;
  readonly #host: string;
  readonly #connections = new Map<Socket, Connection>();
  #port: number;
  #opened = 0;
  #closing = false;
  #reopening: NodeJS.Timeout | undefined;

  constructor(
    address: { host: string; port: number },
    handle: (request: IncomingMessage, response: ServerResponse, connection: Connection) => void,
  ) {
    this.#host = address.host;
    this.#port = address.port;
    this.#server = createServer(
      { keepAlive: false, noDelay: true, requestTimeout: 0 },
      (request, response) => {
        const connection = this.#connections.get(request.socket) ?? { id: 0, requests: 0 };
        connection.requests += 1;
        handle(request, response, connection);
      },
    );
    this.#server.keepAliveTimeout = 120_000;
    this.#server.on("connection", (socket: Socket) => this.#know(socket));
  }

  /** The port, once it listens. */
  get port(): number {
    return this.#port;
  }

  /** Connections that are open. */
  get open(): number {
    return this.#connections.size;
  }

  /** Connections since the start. */
  get opened(): number {
    return this.#opened;
  }

  /** Starts to listen. Rejects when the port is taken. */
  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#port, this.#host, () => {
        this.#server.off("error", reject);
        this.#port = (this.#server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  /** Stops to listen: new connections are refused, open ones live on. */
  down(): void {
    clearTimeout(this.#reopening);
    if (this.#server.listening) this.#server.close();
  }

  /** Listens again on the same port. */
  async up(): Promise<void> {
    clearTimeout(this.#reopening);
    if (!this.#server.listening && !this.#closing) await this.listen();
  }

  /** Ends all connections and refuses new ones for so long. */
  refuse(forMs: number): void {
    this.down();
    this.dropConnections();
    this.#reopening = setTimeout(() => void this.up().catch(() => this.refuse(forMs)), forMs);
  }

  /** Resets every connection, as when a process is killed. */
  dropConnections(): void {
    for (const socket of this.#connections.keys()) socket.resetAndDestroy();
  }

  /** Ends everything. Idempotent. */
  async close(): Promise<void> {
    this.#closing = true;
    this.down();
    for (const socket of this.#connections.keys()) socket.destroy();
    while (this.#connections.size > 0) await new Promise((resolve) => setImmediate(resolve));
  }

  #know(socket: Socket): void {
    this.#opened += 1;
    this.#connections.set(socket, { id: this.#opened, requests: 0 });
    socket.once("close", () => this.#connections.delete(socket));
    // A reset by the client is told by `close`.
    socket.on("error", () => undefined);
  }
}
