/** The HTTP/1.1 door: owns sockets, framing, bounds and the route table; knows no dialect. */
import type { Server, ServerResponse } from "node:http";
import { Server as NetServer, type Socket } from "node:net";
import type { Inspect, Snapshot } from "../../contracts/inspect.ts";
import type { Certificate, DoorOptions } from "../../contracts/options.ts";
import type { Pipeline } from "../../contracts/pipeline.ts";
import type { Route } from "../../contracts/route.ts";
import type { Logger, Metrics } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/errors.ts";
import { listenError } from "../../core/listen-error.ts";
import type { Random } from "../../core/random.ts";
import { BodyRequest } from "./body-request.ts";
import { ByteBudget } from "./byte-budget.ts";
import { Connection, restMs } from "./connection.ts";
import type { DoorContext } from "./door-context.ts";
import { HttpExchange } from "./http-exchange.ts";
import { createHttpMeters, RouteMeter } from "./http-metrics.ts";
import { malformedReason, rawFailure } from "./malformed.ts";
import { Router } from "./router.ts";
import { createDoorServer, type DoorServer } from "./server-kind.ts";

/** What a door needs. */
export interface HttpDoorOptions {
  readonly routes: readonly Route[];
  readonly pipeline: Pipeline;
  readonly options: DoorOptions;
  /** Undefined: plain HTTP. */
  readonly certificate?: Certificate | undefined;
  /** Origins of web pages that may read answers. */
  readonly origins: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** A client that has an answer to take and takes nothing of it for this long, or a twelfth more, is disconnected. Default 60,000 ms. */
  readonly stallTimeoutMs?: number;
}

/** An HTTP listener. */
export interface HttpDoor extends Inspect {
  /** Rejects with a `GatewayError` that says what to do when the address cannot be had. */
  listen(): Promise<{ readonly host: string; readonly port: number }>;
  /** Web pages of these origins, and no others, may read answers from now on. */
  allow(origins: readonly string[]): void;
  /** Takes another certificate for new connections; those that are open stay. Of a door with a certificate. */
  renew(certificate: Certificate): void;
  /**
   * Stops accepting, ends idle connections, lets what runs finish for `graceMs` and then cuts it.
   * Resolves when every connection has ended. Idempotent.
   */
  close(options: { readonly graceMs: number }): Promise<void>;
}

/** Longer than proxies keep idle connections (75 s behind most), so that none is closed just as it is used again. */
const keepAliveTimeoutMs = 90_000;

/** Longest time for the headers of a request. */
const headersTimeoutMs = 20_000;

const defaultStallTimeoutMs = 60_000;

/** A connection whose last request is younger than this may be about to send the next: it is ended a little later on close. */
const restlessMs = 1_000;

/** How long a client that sent no HTTP gets to read what it is told. */
const malformedLingerMs = 1_000;

/** Makes a door; it listens once told to. Throws a TypeError for routes that contradict each other. */
export function createHttpDoor(options: HttpDoorOptions): HttpDoor {
  return new NodeHttpDoor(options);
}

class NodeHttpDoor implements HttpDoor {
  readonly #options: DoorOptions;
  readonly #context: DoorContext;
  readonly #kind: DoorServer;
  readonly #server: Server<typeof BodyRequest>;
  readonly #connections = new Map<Socket, Connection>();
  #port: number;
  readonly #stallTimeoutMs: number;
  #isLooking = false;
  #closing: Promise<void> | undefined;
  #whenEmpty: () => void = () => {};

  constructor(door: HttpDoorOptions) {
    const meters = createHttpMeters(door.metrics);
    const { options, pipeline, clock, random, logger } = door;
    this.#options = options;
    this.#port = options.port;
    this.#stallTimeoutMs = door.stallTimeoutMs ?? defaultStallTimeoutMs;
    this.#context = {
      router: new Router(door.routes, meters),
      pipeline,
      clock,
      random,
      logger,
      meters,
      maxBodyBytes: options.maxBodyBytes,
      budget: new ByteBudget(options.maxTotalBodyBytes, meters.bodyBytes),
      origins: setOf(door.origins),
      unrouted: new RouteMeter(meters, "none", "any"),
      keepAlive: `timeout=${keepAliveTimeoutMs / 1_000}`,
      draining: false,
    };
    this.#kind = this.#createServer(door);
    this.#server = this.#kind.server;
  }

  allow(origins: readonly string[]): void {
    this.#context.origins = setOf(origins);
  }

  renew(certificate: Certificate): void {
    this.#kind.renew(certificate);
  }

  listen(): Promise<{ readonly host: string; readonly port: number }> {
    const { host, port } = this.#options;
    const server = this.#server;
    return new Promise((resolve, reject) => {
      // Stays: once listening, a failed accept (no file descriptors) must not end the process.
      server.on("error", (error) => reject(listenError(error, { host, port, what: "HTTP" })));
      server.listen({ host, port, backlog: 511 }, () => {
        if (this.#context.draining) {
          server.close();
          return reject(new GatewayError("draining", "The door was closed before it listened"));
        }
        const address = server.address();
        if (typeof address === "object" && address !== null) this.#port = address.port;
        resolve({ host, port: this.#port });
      });
    });
  }

  close({ graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  inspect(): Snapshot {
    const { budget, draining } = this.#context;
    let requestsInFlight = 0;
    for (const connection of this.#connections.values()) requestsInFlight += connection.size;
    return {
      host: this.#options.host,
      port: this.#port,
      connections: this.#connections.size,
      requestsInFlight,
      bodyBytesHeld: budget.held,
      draining,
    };
  }

  #createServer({ certificate }: HttpDoorOptions): DoorServer {
    const { receiveTimeoutMs, maxConnections } = this.#options;
    const options = {
      IncomingMessage: BodyRequest,
      // Node would set and clear a timer with every request: idle connections are found by looking at them.
      keepAliveTimeout: 0,
      headersTimeout: Math.min(headersTimeoutMs, receiveTimeoutMs),
      requestTimeout: receiveTimeoutMs,
      connectionsCheckingInterval: Math.max(20, Math.min(1_000, Math.ceil(receiveTimeoutMs / 4))),
      maxHeaderSize: 32_768,
      requireHostHeader: false,
      noDelay: true,
    };
    const kind = createDoorServer(options, certificate);
    const { server } = kind;
    // Their size bounds them. A bound on their number would drop the rest in silence, an Origin among them.
    server.maxHeadersCount = 0;
    server.maxRequestsPerSocket = 0;
    server.maxConnections = maxConnections;
    server.on("request", (request, response) => this.#serve(request, response, "nothing"));
    server.on("checkContinue", (request, response) => this.#serve(request, response, "continue"));
    kind.onConnection((socket) => this.#accept(socket));
    server.on("timeout", (socket: Socket) => this.#silent(socket));
    server.on("clientError", (error, socket) => this.#malformed(error, socket as Socket));
    server.on("drop", () => void this.#context.meters.refused.value++);
    return kind;
  }

  /** One pair of listeners a connection, not a request. A client that half-closes has left. */
  #accept(socket: Socket): void {
    const connection = new Connection(socket, this.#context.clock.now());
    this.#connections.set(socket, connection);
    if (!this.#isLooking) this.#lookLater();
    socket.on("end", () => connection.lost());
    socket.on("drain", () => connection.drained());
    socket.on("close", () => {
      connection.lost();
      this.#connections.delete(socket);
      if (this.#connections.size === 0) this.#whenEmpty();
    });
  }

  #lookLater(): void {
    this.#isLooking = true;
    this.#context.clock.after(this.#stallTimeoutMs / 12, () => this.#look());
  }

  /** Finds clients that have an answer to take, and those that ask for nothing any more. The former run into the timeout they get here. */
  #look(): void {
    this.#isLooking = false;
    const now = this.#context.clock.now();
    for (const connection of this.#connections.values()) {
      connection.watchStall(this.#stallTimeoutMs);
      connection.watchIdle(keepAliveTimeoutMs, now);
    }
    if (this.#connections.size > 0) this.#lookLater();
  }

  #serve(request: BodyRequest, response: ServerResponse, expects: "nothing" | "continue"): void {
    const connection = this.#connections.get(request.socket);
    if (connection === undefined) return void response.destroy();
    new HttpExchange(this.#context, connection, request, response).start(expects);
  }

  /** Nothing has moved on the connection for a while: it is idle, waits for a model, or its client takes nothing. */
  #silent(socket: Socket): void {
    const waits = (this.#connections.get(socket)?.size ?? 0) > 0 && socket.writableLength === 0;
    if (!waits) socket.destroy();
  }

  /** What cannot be parsed, or comes too late. */
  #malformed(error: NodeJS.ErrnoException, socket: Socket): void {
    if (socket.writableEnded) return;
    const reason = malformedReason(error);
    if (reason === undefined || !socket.writable || socket.bytesRead === 0) return void socket.destroy();
    if (this.#connections.get(socket)?.broken(reason.failure) === true) return;
    this.#context.unrouted.count(reason.status, 0);
    socket.end(rawFailure(reason, this.#context.random.id()));
    this.#context.clock.after(malformedLingerMs, () => socket.destroy());
  }

  async #close(graceMs: number): Promise<void> {
    const { clock } = this.#context;
    this.#context.draining = true;
    if (!this.#server.listening) return;
    const cut = clock.after(graceMs, () => this.#kind.cut());
    const stopped = stopAccepting(this.#server);
    this.#endIdle(clock.now() - restlessMs);
    // A turn later, after what lies unread in the sockets has been read.
    clock.after(Math.min(restMs, graceMs), () => setImmediate(() => this.#endIdle(Infinity)));
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#whenEmpty = resolve));
    await stopped;
    cut.cancel();
    // Nothing is left to close; this ends Node's own look at slow requests.
    this.#server.close();
  }

  /** Ends connections without a request, once what is written has been taken. */
  #endIdle(before: number): void {
    for (const connection of this.#connections.values()) {
      if (connection.size === 0 && connection.lastSeenAt <= before) connection.socket.destroySoon();
    }
  }
}

/** As `net.Server` does it: that of `http.Server` cuts idle connections at once, just as their next request may be under way. */
function stopAccepting(server: Server<typeof BodyRequest>): Promise<void> {
  return new Promise((resolve) => void NetServer.prototype.close.call(server, () => resolve()));
}

/** Undefined for none: what every answer asks is then one look. */
function setOf(origins: readonly string[]): ReadonlySet<string> | undefined {
  return origins.length === 0 ? undefined : new Set(origins);
}
