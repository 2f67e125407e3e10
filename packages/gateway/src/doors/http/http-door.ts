/** The HTTP/1.1 door: owns sockets and the route table, knows no dialect. */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { DoorOptions } from "../../contracts/options.ts";
import type { Pipeline } from "../../contracts/pipeline.ts";
import type { Route } from "../../contracts/route.ts";
import type { Logger, Metrics } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { answerHeaders, givenRequestId, plainFailure } from "./answer-headers.ts";
import { BodyBudget } from "./body-budget.ts";
import { createCors } from "./cors.ts";
import {
  HttpExchange,
  malformedRequest,
  noRouteAnswer,
  type ExchangeContext,
  type MeteredRoute,
} from "./http-exchange.ts";
import { httpMetrics, RouteMeter } from "./http-metrics.ts";
import { HttpRouter, isMatch, type NoMatch } from "./router.ts";

/** What a door needs. */
export interface HttpDoorOptions {
  readonly routes: readonly Route[];
  readonly pipeline: Pipeline;
  readonly options: DoorOptions;
  /** Origins of web pages that may read answers. */
  readonly origins: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** An HTTP listener. */
export interface HttpDoor {
  /** Rejects with a `GatewayError` that says what to do when the address cannot be had. */
  listen(): Promise<{ readonly host: string; readonly port: number }>;
  /** Stops accepting, lets answers finish for `graceMs`, then ends all connections. Idempotent. */
  close(options: { readonly graceMs: number }): Promise<void>;
}

/** Idle connections live longer than those of a proxy in front (75 s behind most), so that none is closed just as it is reused. */
const keepAliveTimeoutMs = 95_000;

/** Time for a request's head; a slower client is answered 408. */
const headersTimeoutMs = 20_000;

/** Exchanges that run on each connection: the client's departure reaches all of them. */
const running = Symbol("running exchanges");

type DoorSocket = Socket & { [running]?: Set<HttpExchange> };

/** Makes a door; it listens once told to. */
export function createHttpDoor(door: HttpDoorOptions): HttpDoor {
  return new NodeHttpDoor(door);
}

class NodeHttpDoor implements HttpDoor {
  readonly #door: HttpDoorOptions;
  readonly #server: Server;
  readonly #router: HttpRouter<MeteredRoute>;
  readonly #context: ExchangeContext;
  readonly #unrouted: RouteMeter;
  readonly #open = new Set<HttpExchange>();
  #draining = false;
  #drained = (): void => {};
  #closing: Promise<void> | undefined;

  constructor(door: HttpDoorOptions) {
    const { metrics, options } = door;
    this.#door = door;
    this.#router = new HttpRouter(door.routes.map((route) => withMeter(route, metrics)));
    this.#unrouted = new RouteMeter({ path: "none", method: "GET" }, metrics);
    const budget = new BodyBudget(options.maxTotalBodyBytes);
    metrics.onCollect(() => void (metrics.gauge(httpMetrics.bodyBytes).with().value = budget.held));
    this.#context = {
      ...door,
      limits: { maxBodyBytes: options.maxBodyBytes, budget },
      cors: createCors(door.origins),
      draining: () => this.#draining,
      onEnd: (exchange) => this.#ended(exchange),
    };
    this.#server = createServer(serverOptions(options));
    this.#server.maxConnections = options.maxConnections;
    this.#server.on("request", (request, response) => this.#serve(request, response, "nothing"));
    this.#server.on("checkContinue", (request, response) => this.#serve(request, response, "100-continue"));
    this.#server.on("connection", watchSocket);
    this.#server.on("clientError", answerMalformed);
  }

  listen(): Promise<{ readonly host: string; readonly port: number }> {
    return listen(this.#server, this.#door.options);
  }

  close({ graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#draining = true;
      const finish = (): void => {
        this.#server.closeAllConnections();
        resolve();
      };
      this.#server.close();
      this.#server.closeIdleConnections();
      if (this.#open.size === 0) return finish();
      const timer = this.#door.clock.after(graceMs, finish);
      this.#drained = () => {
        timer.cancel();
        setImmediate(finish);
      };
    });
    return this.#closing;
  }

  #ended(exchange: HttpExchange): void {
    this.#open.delete(exchange);
    if (this.#open.size === 0) this.#drained();
  }

  #serve(request: IncomingMessage, response: ServerResponse, expects: "nothing" | "100-continue"): void {
    const requestId = givenRequestId(request.headers["x-request-id"]) ?? this.#door.random.id();
    const preflight = this.#context.cors.preflight(request);
    if (preflight !== undefined)
      return void response.writeHead(preflight.status, [...preflight.headers]).end();
    const url = request.url ?? "/";
    const mark = url.indexOf("?");
    const path = mark < 0 ? url : url.slice(0, mark);
    const match = this.#router.find(request.method ?? "GET", path);
    if (!isMatch(match)) return answerNoRoute({ request, response, requestId }, match, this.#unrouted);
    const query = mark < 0 ? "" : url.slice(mark + 1);
    const exchange = new HttpExchange(
      this.#context,
      { request, response, requestId },
      { match, path, query },
    );
    this.#open.add(exchange);
    track(request.socket, response, exchange);
    exchange.start(expects);
  }
}

function serverOptions(options: DoorOptions): ServerOptions {
  return {
    keepAliveTimeout: keepAliveTimeoutMs,
    headersTimeout: Math.min(headersTimeoutMs, options.receiveTimeoutMs),
    requestTimeout: options.receiveTimeoutMs,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: 32_768,
    requireHostHeader: false,
  };
}

function withMeter(route: Route, metrics: Metrics): MeteredRoute {
  return { ...route, handle: (call) => route.handle(call), meter: new RouteMeter(route, metrics) };
}

/** One listener a connection tells all its exchanges that the client has gone. */
function watchSocket(socket: DoorSocket): void {
  const exchanges = new Set<HttpExchange>();
  socket[running] = exchanges;
  socket.on("close", () => {
    for (const exchange of exchanges) exchange.gone();
  });
}

function track(socket: DoorSocket, response: ServerResponse, exchange: HttpExchange): void {
  const exchanges = socket[running];
  if (exchanges === undefined) return;
  exchanges.add(exchange);
  response.on("close", () => exchanges.delete(exchange));
}

function answerNoRoute(
  io: { readonly request: IncomingMessage; readonly response: ServerResponse; readonly requestId: string },
  none: NoMatch,
  meter: RouteMeter,
): void {
  const answer = noRouteAnswer(none.failure, io.requestId, none.writeFailure);
  const body = Buffer.concat(answer.body);
  const headers = answerHeaders(answer.headers, body.length, {
    requestId: io.requestId,
    retryAfterMs: undefined,
  });
  if (none.allow.length > 0) headers.push("allow", none.allow.join(", "));
  if (!io.request.complete) headers.push("connection", "close");
  io.request.resume();
  io.response.writeHead(answer.status, headers).end(body);
  meter.count(answer.status);
}

/** What cannot be parsed gets one plain answer and loses its connection. */
function answerMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === "ECONNRESET") return void socket.destroy();
  const reason = malformedRequest(error.code);
  const answer = plainFailure(reason, "");
  const body = Buffer.concat(answer.body);
  const line = `HTTP/1.1 ${answer.status} ${reason.code}\r\n`;
  socket.end(
    `${line}content-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body.toString()}`,
  );
}

function listen(server: Server, options: DoorOptions): Promise<{ host: string; port: number }> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, options)));
    server.listen(options.port, options.host, () => {
      const { address, port } = server.address() as AddressInfo;
      resolve({ host: address, port });
    });
  });
}

/** What went wrong, in a sentence that says what to do. */
export function listenError(
  error: NodeJS.ErrnoException,
  options: Pick<DoorOptions, "host" | "port">,
): GatewayError {
  const where = `${options.host}:${options.port}`;
  const told: Partial<Record<string, string>> = {
    EADDRINUSE: `${where} is in use by another program; end it, or choose another port`,
    EACCES: `${where} needs more rights; choose a port above 1023`,
    EADDRNOTAVAIL: `${options.host} is not an address of this machine`,
  };
  return new GatewayError("internal", told[error.code ?? ""] ?? `${where}: ${error.message}`, {
    cause: error,
  });
}
