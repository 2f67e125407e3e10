/** A gRPC server on a TCP port or a Unix socket. */
import { createServer as createNetServer } from "node:net";
import type { Server as NetServer } from "node:net";
import type { Server as TlsServer, TLSSocket } from "node:tls";
import { dataEvents, readAccepted } from "./chunk-source.ts";
import type { ReadableSocket } from "./chunk-source.ts";
import { MemoryAccount } from "./memory-account.ts";
import type { CallContext } from "./server-call.ts";
import { ServerConnection } from "./server-connection.ts";
import type { ServerTimeouts } from "./server-connection.ts";
import type { GrpcServer, GrpcServerOptions } from "./types.ts";

const defaultMessageBytes = 268_435_456;
const defaultTotalBytes = 536_870_912;
const defaultConnections = 1_024;
const defaultGraceMs = 10_000;
/** When all places are taken, a connection silent for this long without a call makes room. */
const evictAfterMs = 1_000;
/** Longest time between two looks at the clocks. */
const maxSweepMs = 1_000;
const tlsHandshakeMs = 10_000;
/** The oldest that is spoken; HTTP/2 asks for it (RFC 9113, 9.2). */
const tlsVersion = "TLSv1.2";

/** A server that is listening once `listen` has resolved. */
class Server implements GrpcServer {
  readonly #options: GrpcServerOptions;
  readonly #timeouts: ServerTimeouts;
  readonly #context: CallContext;
  readonly #listener: NetServer;
  readonly #connections = new Set<ServerConnection>();
  #sweeper: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;
  #whenEmpty: (() => void) | undefined;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
    this.#timeouts = {
      prefaceTimeoutMs: options.prefaceTimeoutMs ?? 10_000,
      requestTimeoutMs: options.requestTimeoutMs ?? 120_000,
      stallTimeoutMs: options.stallTimeoutMs ?? 60_000,
      pingAfterMs: options.pingAfterMs ?? 60_000,
    };
    this.#context = {
      account: new MemoryAccount(options.maxTotalBytes ?? defaultTotalBytes),
      maxMessageBytes: options.maxMessageBytes ?? defaultMessageBytes,
      onHandlerError: options.onHandlerError ?? (() => {}),
    };
    this.#listener = this.#createListener();
    // Sockets that still shake hands are not in the set: this bounds them too.
    this.#listener.maxConnections = 2 * (options.maxConnections ?? defaultConnections);
  }

  listen(
    address: { readonly host?: string; readonly port: number } | { readonly path: string },
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      // Stays: once listening, a failed accept (no file descriptors) must not end the process.
      this.#listener.on("error", reject);
      this.#listener.listen(address, () => {
        this.#startSweeping();
        const bound = this.#listener.address();
        resolve(typeof bound === "object" && bound !== null ? bound.port : 0);
      });
    });
  }

  renew({ cert, key }: NonNullable<GrpcServerOptions["tls"]>): void {
    if (!("setSecureContext" in this.#listener)) throw new TypeError("the server speaks plain text");
    (this.#listener as TlsServer).setSecureContext({ cert, key, minVersion: tlsVersion });
  }

  close(options: { readonly graceMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.graceMs ?? defaultGraceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    clearInterval(this.#sweeper);
    this.#listener.close();
    const empty = new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
    const timer = setTimeout(() => this.#destroyAll(), graceMs);
    for (const connection of this.#connections) connection.drain();
    if (this.#connections.size > 0) await empty;
    clearTimeout(timer);
  }

  #destroyAll(): void {
    for (const connection of this.#connections) connection.destroy("the server has closed");
  }

  #createListener(): NetServer {
    const { tls } = this.#options;
    if (!tls) return createNetServer({ noDelay: true }, (socket) => this.#accept(readAccepted(socket)));
    const server = process.getBuiltinModule("node:tls").createServer({
      ...tls,
      ALPNProtocols: ["h2"],
      minVersion: tlsVersion,
      noDelay: true,
      handshakeTimeout: tlsHandshakeMs,
    });
    server.on("secureConnection", (socket: TLSSocket) => {
      if (socket.alpnProtocol === "h2") this.#accept(dataEvents(socket));
      else socket.destroy();
    });
    server.on("tlsClientError", () => {});
    return server;
  }

  #accept(socket: ReadableSocket): void {
    const max = this.#options.maxConnections ?? defaultConnections;
    if (this.#connections.size >= max && !this.#evict()) {
      socket.socket.destroy();
      return;
    }
    const connection = new ServerConnection({
      socket,
      options: this.#options,
      timeouts: this.#timeouts,
      context: this.#context,
      onClose: (each) => this.#onClose(each),
    });
    this.#connections.add(connection);
    if (this.#closing) connection.drain();
  }

  /** Closes the connection that has been idle longest, if any has been idle for a while. */
  #evict(): boolean {
    const nowMs = performance.now();
    let idlest: ServerConnection | undefined;
    let idlestMs = evictAfterMs;
    for (const connection of this.#connections) {
      const idleMs = connection.idleMs(nowMs);
      if (idleMs > idlestMs) {
        idlest = connection;
        idlestMs = idleMs;
      }
    }
    idlest?.drain();
    return idlest !== undefined;
  }

  #onClose(connection: ServerConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  #startSweeping(): void {
    const shortest = Math.min(...Object.values(this.#timeouts));
    const everyMs = Math.max(10, Math.min(maxSweepMs, shortest / 4));
    this.#sweeper = setInterval(() => {
      const nowMs = performance.now();
      for (const connection of this.#connections) connection.sweep(nowMs);
    }, everyMs);
    this.#sweeper.unref();
  }
}

/** Makes a server; it listens when told to. */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  return new Server(options);
}
