/**
 * Hands a call on to a server of dashboards or metrics as it is, and its answer back. Each call has a
 * connection of its own: such servers are near and asked by people, and no call meets a connection
 * that is just being closed.
 */
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import type { HttpCall, StreamedAnswer } from "../contracts/route.ts";
import type { Exchange, ResponseSink } from "../contracts/sink.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { failure, type ErrorCode, type Failure } from "../core/errors.ts";
import { responseHeaders, requestHeaders } from "./proxy-headers.ts";

const http = process.getBuiltinModule("node:http");

/** What a proxy needs. */
export interface ServerProxyOptions {
  /** What people call the server. */
  readonly name: string;
  /** `http://host:port` or `https://host:port`. */
  readonly origin: string;
  /** Whether cookies belong to the server: those of Grafana do, Prometheus has none. */
  readonly cookies: boolean;
  readonly clock: Clock;
  /** How long a connection may take to be made, ms. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** How long nothing may move in either direction, ms: longer than the 2 minutes that Prometheus gives a query. Default 150,000. */
  readonly idleTimeoutMs?: number;
}

/** Calls that run at once to one server; more are refused. */
const maxCalls = 256;

/** A server to hand calls on to. */
export class ServerProxy {
  readonly #options: ServerProxyOptions;
  readonly #target: RequestOptions;
  readonly #host: string;
  readonly #send: (options: RequestOptions) => ClientRequest;
  #running = 0;

  constructor(options: ServerProxyOptions) {
    const { protocol, host, hostname, port } = new URL(options.origin);
    const isSecure = protocol === "https:";
    this.#options = options;
    this.#host = host;
    // Without an agent: a connection for this call alone.
    this.#target = { protocol, hostname: hostname.replace(/^\[|\]$/g, ""), port, agent: false };
    this.#send = isSecure ? process.getBuiltinModule("node:https").request : http.request;
  }

  /** The same path and query at the server. */
  carry(call: HttpCall): StreamedAnswer | Failure {
    const { name, cookies } = this.#options;
    if (this.#running >= maxCalls) return failure("overloaded", `Too many calls to ${name} at once`, 1_000);
    const path = call.query === "" ? call.path : `${call.path}?${call.query}`;
    const { method } = call;
    const headers = requestHeaders(call, { cookies, host: this.#host });
    return {
      carry: (sink) => {
        const request = this.#send({ ...this.#target, method, path, headers, setHost: false });
        this.#running++;
        return new ProxiedCall(request, { ...this.#options, call, sink, ended: () => this.#running-- });
      },
    };
  }
}

interface ProxiedCallOptions extends ServerProxyOptions {
  readonly call: HttpCall;
  readonly sink: ResponseSink;
  readonly ended: () => void;
}

/** One call on its way. */
class ProxiedCall implements Exchange {
  readonly #request: ClientRequest;
  readonly #options: ProxiedCallOptions;
  readonly #idleMs: number;
  #response: IncomingMessage | undefined;
  #timer: Timer;
  #movedAt: number;
  #isDone = false;

  constructor(request: ClientRequest, options: ProxiedCallOptions) {
    const { clock, connectTimeoutMs = 5_000, idleTimeoutMs = 150_000 } = options;
    this.#request = request;
    this.#options = options;
    this.#idleMs = idleTimeoutMs;
    this.#movedAt = clock.now();
    this.#timer = clock.after(connectTimeoutMs, () => this.#slow("cannot be reached in time"));
    request.on("socket", (socket) => {
      socket.on(request.protocol === "https:" ? "secureConnect" : "connect", () => this.#connected());
    });
    request.on("response", (response) => this.#answered(response));
    request.on("error", (error: NodeJS.ErrnoException) => this.#failed(error));
    // A caller who reads slowly may not have taken all of an answer whose connection is closed.
    request.on("close", () => {
      if (this.#response?.complete !== true) this.#cut();
    });
    this.#upload();
  }

  resume(): void {
    this.#response?.resume();
  }

  cancel(): void {
    this.#finish();
  }

  #upload(): void {
    const request = this.#request;
    const { upload } = this.#options.call;
    if (upload === undefined) return void request.end();
    request.on("drain", () => {
      if (!this.#isDone) upload.resume();
    });
    upload.read({
      data: (piece) => {
        this.#moved();
        if (!request.write(piece)) upload.pause();
      },
      end: () => void request.end(),
    });
  }

  #connected(): void {
    if (this.#isDone) return;
    this.#timer.cancel();
    this.#moved();
    this.#watch(this.#idleMs);
  }

  /** One timer for the whole call, however many pieces it has. */
  #watch(forMs: number): void {
    this.#timer = this.#options.clock.after(forMs, () => {
      const left = this.#movedAt + this.#idleMs - this.#options.clock.now();
      if (left > 0) this.#watch(left);
      else this.#slow("took too long");
    });
  }

  #moved(): void {
    this.#movedAt = this.#options.clock.now();
  }

  #answered(response: IncomingMessage): void {
    if (this.#isDone) return void response.destroy();
    const { sink } = this.#options;
    this.#response = response;
    this.#moved();
    sink.head(response.statusCode ?? 502, responseHeaders(response.rawHeaders));
    response.on("data", (piece: Buffer) => {
      if (this.#isDone) return;
      this.#moved();
      if (!sink.data(piece)) response.pause();
    });
    response.on("end", () => {
      if (this.#isDone) return;
      this.#finish();
      sink.end();
    });
    response.on("error", () => this.#cut());
  }

  #failed(error: NodeJS.ErrnoException): void {
    const isAnswer = error.code?.startsWith("HPE_") === true;
    if (isAnswer) return this.#fail("bad_upstream_answer", "sent an answer that cannot be read");
    this.#fail("upstream_unreachable", `cannot be reached: ${error.message}`);
  }

  #slow(what: string): void {
    this.#fail("upstream_timeout", what);
  }

  #cut(): void {
    this.#fail("bad_upstream_answer", "closed the connection within its answer");
  }

  #fail(code: ErrorCode, what: string): void {
    if (this.#isDone) return;
    const { name, origin, sink } = this.#options;
    this.#finish();
    sink.fail(failure(code, `${name} at ${origin} ${what}`));
  }

  #finish(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#timer.cancel();
    this.#options.ended();
    this.#request.destroy();
  }
}
