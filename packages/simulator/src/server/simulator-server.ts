/** Puts a face on a port: reads requests, strikes faults, keeps the record. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Face, World } from "../faces/face.ts";
import { fields, text } from "../faces/fields.ts";
import { Exchange } from "./exchange.ts";
import { FaultPlan, parseFault } from "./fault.ts";
import type { Fault, FaultTarget } from "./fault.ts";
import { htmlPage } from "./html-page.ts";
import { Listener } from "./listener.ts";
import type { Connection } from "./listener.ts";
import { RequestLog } from "./request-log.ts";
import type { RequestRecord } from "./request-log.ts";
import { RouteTable } from "./route-table.ts";
import { controlRoutes } from "./control.ts";

/** How long a body that is too long may still come before its connection is closed. */
const LINGER_MS = 5000;

/** What a server is made of. */
export interface ServerOptions {
  readonly face: Face;
  readonly world: World;
  readonly host: string;
  readonly port: number;
  readonly faults: readonly Fault[];
  /** Whether requests are recorded. */
  readonly record: boolean;
}

/** A running face. */
export class SimulatorServer {
  readonly face: Face;
  readonly world: World;
  readonly requests: RequestLog;
  readonly faults: FaultPlan;
  readonly listener: Listener;
  readonly #routes: RouteTable;
  readonly #control: RouteTable;
  readonly #open = new Set<Exchange>();
  #closed = false;

  constructor(options: ServerOptions) {
    this.face = options.face;
    this.world = options.world;
    this.requests = new RequestLog({ keep: options.record });
    this.faults = new FaultPlan(() => options.world.random.unit(), options.faults);
    this.#routes = new RouteTable(options.face.routes);
    this.#control = new RouteTable([...(options.face.control ?? []), ...controlRoutes(this)]);
    this.listener = new Listener(options, (request, response, connection) =>
      this.#receive(request, response, connection),
    );
  }

  /** Ends everything at once; requests at work are recorded as `server_closed`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const exchange of this.#open) exchange.gone("server_closed");
    await this.listener.close();
    this.world.host.close();
  }

  #receive(request: IncomingMessage, response: ServerResponse, connection: Connection): void {
    const { method = "GET", url = "/", headers } = request;
    const control = url.startsWith("/simulator/");
    const record = control
      ? undefined
      : this.requests.begin({ method, path: url, headers, connection: connection.id });
    const { maxBodyBytes = Infinity } = this.face;
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBodyBytes) chunks.push(chunk);
      else this.#refuseLength(request, response, record);
    });
    request.on("end", () => {
      if (bytes > maxBodyBytes) return;
      const rawBody = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
      if (record === undefined) this.#answerControl(request, response, rawBody);
      else this.#meet({ request, response, record, rawBody, connection });
    });
    // The upload was broken off.
    request.on("close", () => {
      if (!request.complete && record !== undefined) this.requests.end(record, "client_closed");
    });
    request.on("error", () => undefined);
    response.on("error", () => undefined);
  }

  /** 413 while the body still comes, as a proxy says it; what more comes is thrown away. */
  #refuseLength(request: IncomingMessage, response: ServerResponse, record: RequestRecord | undefined): void {
    if (response.headersSent) return;
    if (record !== undefined) record.status = 413;
    response.writeHead(413, { "content-type": "text/html" });
    response.end(htmlPage(413), () => record !== undefined && this.requests.end(record, "completed"));
    // Closing at once would reset the connection, and the caller would miss the answer.
    const lingering = setTimeout(() => request.socket.destroy(), LINGER_MS);
    request.on("close", () => clearTimeout(lingering));
  }

  #meet(arrival: Arrival): void {
    const { request, response, record, rawBody, connection } = arrival;
    this.requests.body(record, rawBody);
    const path = pathOf(record.path);
    const body = parse(rawBody);
    const model = text(fields(body)["model"]) ?? text(fields(body)["name"]);
    if (model !== undefined) record.model = model;
    const fault = this.#faultOf(request, { path, method: record.method, model });
    const exchange = new Exchange(
      { request, response, record, fault, body, rawBody, path },
      this.requests,
      this.face.errorsOf?.(path) ?? this.face.errors,
    );
    this.#open.add(exchange);
    response.on("close", () => {
      this.#open.delete(exchange);
      if (response.writableFinished) this.requests.end(record, "completed");
      else exchange.gone("client_closed");
    });
    if (response.destroyed) return;
    if (fault === undefined) this.#answer(exchange);
    else this.#strike(exchange, fault, connection);
  }

  #faultOf({ headers }: IncomingMessage, target: FaultTarget): Fault | undefined {
    const header = headers["x-simulator-fault"];
    if (typeof header === "string") {
      try {
        return parseFault(JSON.parse(header));
      } catch (error) {
        return { status: 400, message: `x-simulator-fault: ${error instanceof Error ? error.message : ""}` };
      }
    }
    return this.faults.choose(target);
  }

  #strike(exchange: Exchange, fault: Fault, connection: Connection): void {
    const { request } = exchange;
    if (fault.refuseMs !== undefined) {
      exchange.gone("fault");
      this.listener.refuse(fault.refuseMs);
    } else if (fault.closeOnReuse && connection.requests > 1) {
      exchange.gone("fault");
      request.socket.destroy();
    } else if (fault.delayHeadersMs === undefined) this.#afterDelay(exchange, fault);
    else {
      const timer = setTimeout(() => this.#afterDelay(exchange, fault), fault.delayHeadersMs);
      exchange.onClose(() => clearTimeout(timer));
    }
  }

  #afterDelay(exchange: Exchange, fault: Fault): void {
    if (exchange.closed) return;
    if (fault.cutBeforeHeaders) {
      exchange.gone("fault");
      if (fault.cut === "reset") exchange.request.socket.resetAndDestroy();
      else exchange.request.socket.destroy();
    } else if (fault.status !== undefined && fault.status !== 200) {
      const { status, retryAfter, message = `the simulator answers ${status} as it was told` } = fault;
      const headers = retryAfter === undefined ? {} : { "retry-after": String(retryAfter) };
      if (fault.html) exchange.html(status, headers);
      else exchange.error({ status, message, headers });
    } else this.#answer(exchange);
  }

  #answer(exchange: Exchange): void {
    const refusal = this.face.guard?.(exchange);
    if (refusal !== undefined) {
      exchange.error(refusal);
      return;
    }
    const found = this.#routes.find(exchange.request.method ?? "GET", exchange.path);
    if (found === undefined) this.#answerStray(exchange);
    else found.route.handle(exchange, found.parameters);
  }

  #answerStray(exchange: Exchange): void {
    const allow = this.#routes.allowed(exchange.path);
    if (allow === "") this.face.notFound(exchange);
    else this.face.notAllowed(exchange, allow);
  }

  #answerControl(request: IncomingMessage, response: ServerResponse, rawBody: Buffer): void {
    const record: RequestRecord = {
      id: 0,
      method: request.method ?? "GET",
      path: request.url ?? "/",
      headers: request.headers,
      connection: 0,
      startedAt: 0,
      body: "",
      bodyBytes: rawBody.length,
      status: 0,
      tokens: 0,
      events: 0,
    };
    const path = pathOf(record.path);
    const given = { request, response, record, fault: undefined, body: parse(rawBody), rawBody, path };
    const exchange = new Exchange(given, this.requests, this.face.errors);
    const found = this.#control.find(record.method, path);
    if (found === undefined)
      exchange.error({ status: 404, message: `${record.method} ${path} is no control route` });
    else found.route.handle(exchange, found.parameters);
  }
}

interface Arrival {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly record: RequestRecord;
  readonly rawBody: Buffer;
  readonly connection: Connection;
}

function pathOf(url: string): string {
  const query = url.indexOf("?");
  return query < 0 ? url : url.slice(0, query);
}

/** JSON, or undefined for what is none. */
function parse(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}
