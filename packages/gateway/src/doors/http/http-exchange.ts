/** One HTTP request from its head to the end of its answer: the state machine of the door. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Decision, Exchange, Pipeline, ResponseSink } from "../../contracts/pipeline.ts";
import type { HttpCall, Route, RouteResult } from "../../contracts/route.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import { Cancellation } from "../../core/cancellation.ts";
import type { Clock } from "../../core/clock.ts";
import { failure, isFailure, toFailure, type Failure } from "../../core/errors.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { Caller, InferenceRequest, WireAnswer } from "../../core/request.ts";
import { bodyRefusal, BodyReader, type BodyLimits } from "./body-reader.ts";
import type { Cors } from "./cors.ts";
import { answerHeaders, plainFailure } from "./answer-headers.ts";
import type { RouteMeter } from "./http-metrics.ts";
import type { Match } from "./router.ts";

/** A route with its counters. */
export interface MeteredRoute extends Route {
  readonly meter: RouteMeter;
}

/** What all exchanges of a door share. */
export interface ExchangeContext {
  readonly pipeline: Pipeline;
  readonly limits: BodyLimits;
  readonly cors: Cors;
  readonly clock: Clock;
  readonly logger: Logger;
  /** True once the door closes: answers then end their connection. */
  readonly draining: () => boolean;
  readonly onEnd: (exchange: HttpExchange) => void;
}

/** How much of a refused body is read and thrown away, so that the client gets to see the answer. */
const lingering = { bytes: 8 * 2 ** 20, ms: 2_000 };

/**
 * The exchange is its own sink. Its phases: admitted → body read → handled → decided → answered; the
 * client may leave in each, which calls the request off wherever it is.
 */
export class HttpExchange implements ResponseSink {
  readonly #context: ExchangeContext;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #match: Match<MeteredRoute>;
  readonly #path: string;
  readonly #query: string;
  readonly requestId: string;
  readonly receivedAt: number;
  readonly #cancellation = new Cancellation();
  #caller: Caller | undefined;
  #body: BodyReader | undefined;
  #running: Exchange | undefined;
  #state: "open" | "streaming" | "ended" = "open";
  #status = 0;
  /** The client waits for 100 Continue before it sends the body. */
  #awaitsContinue = false;

  constructor(
    context: ExchangeContext,
    io: { readonly request: IncomingMessage; readonly response: ServerResponse; readonly requestId: string },
    target: { readonly match: Match<MeteredRoute>; readonly path: string; readonly query: string },
  ) {
    this.#context = context;
    this.#request = io.request;
    this.#response = io.response;
    this.requestId = io.requestId;
    this.#match = target.match;
    this.#path = target.path;
    this.#query = target.query;
    this.receivedAt = context.clock.now();
    this.#match.route.meter.started();
  }

  /** Admits the request and goes on. With `expects` the client is told to send its body only then. */
  start(expects: "nothing" | "100-continue"): void {
    this.#awaitsContinue = expects === "100-continue";
    const { route } = this.#match;
    const verdict = this.#context.pipeline.admit({
      door: "http",
      method: this.#request.method ?? "GET",
      path: this.#path,
      headers: this.#request.headers,
      remoteAddress: this.#request.socket.remoteAddress ?? "",
      scope: route.scope,
    });
    if (verdict instanceof Promise)
      verdict.then(
        (later) => this.#admitted(later),
        (error: unknown) => this.#broke(error),
      );
    else this.#admitted(verdict);
  }

  /** The client's connection has ended. */
  gone(): void {
    if (this.#state === "ended") return;
    this.#cancellation.cancel("client_gone");
    this.#running?.cancel("client_gone");
    this.#end(499);
  }

  whole(answer: WireAnswer): void {
    if (this.#state !== "open") return;
    this.#finishWhole(answer, undefined);
  }

  head(status: number, headers: HeaderList): void {
    if (this.#state !== "open") return;
    this.#state = "streaming";
    this.#status = status;
    this.#response.on("drain", () => this.#running?.resume());
    this.#response.writeHead(status, this.#headers(headers, undefined, undefined));
  }

  data(chunk: Uint8Array): boolean {
    return this.#state !== "streaming" || this.#response.write(chunk);
  }

  end(): void {
    if (this.#state !== "streaming") return;
    this.#response.end();
    this.#end(this.#status);
  }

  fail(reason: Failure): void {
    if (this.#state === "ended") return;
    this.#logInternal(reason);
    if (this.#state === "streaming") {
      this.#response.destroy();
      return this.#end(this.#status);
    }
    this.#finishWhole(this.#match.route.writeFailure(reason, this.requestId), reason);
  }

  #admitted(verdict: Caller | Failure): void {
    if (this.#state !== "open") return;
    if (isFailure(verdict)) return this.#refuseUnread(verdict);
    this.#caller = verdict;
    if (this.#match.route.body === "none") {
      this.#request.resume();
      return this.#handle(new Uint8Array(0));
    }
    const refusal = bodyRefusal(this.#request, this.#context.limits);
    if (refusal !== undefined) return this.#refuseUnread(refusal);
    if (this.#awaitsContinue) this.#response.writeContinue();
    this.#awaitsContinue = false;
    this.#body = new BodyReader(this.#request, this.#context.limits, (body) => this.#received(body));
    this.#body.start();
  }

  #received(body: Uint8Array | Failure): void {
    if (this.#state !== "open") return;
    if (isFailure(body)) this.#refuseUnread(body);
    else this.#handle(body);
  }

  #handle(body: Uint8Array): void {
    try {
      const result = this.#match.route.handle(this.#call(body));
      if (result instanceof Promise)
        result.then(
          (later) => this.#handled(later),
          (error: unknown) => this.#broke(error),
        );
      else this.#handled(result);
    } catch (error) {
      this.#broke(error);
    }
  }

  #call(body: Uint8Array): HttpCall {
    return {
      method: this.#request.method ?? "GET",
      path: this.#path,
      query: this.#query,
      headers: this.#request.headers,
      params: this.#match.params,
      body,
      caller: this.#caller ?? { id: "unknown", scopes: [] },
      requestId: this.requestId,
      receivedAt: this.receivedAt,
      cancellation: this.#cancellation,
    };
  }

  #handled(result: RouteResult): void {
    if (this.#state !== "open") return;
    if (isFailure(result)) return this.fail(result);
    if ("status" in result) return this.whole(result);
    this.#decide(result);
  }

  #decide(request: InferenceRequest): void {
    const verdict = this.#context.pipeline.decide(request);
    if (verdict instanceof Promise)
      verdict.then(
        (later) => this.#decided(later),
        (error: unknown) => this.#broke(error),
      );
    else this.#decided(verdict);
  }

  /** A decision is carried even when the client has left meanwhile: the upstream then gives the place up. */
  #decided(verdict: Decision | Failure): void {
    if (isFailure(verdict)) return this.fail(verdict);
    this.#running = this.#context.pipeline.carry(verdict, this);
  }

  #broke(error: unknown): void {
    this.fail(toFailure(error));
  }

  #logInternal(reason: Failure): void {
    if (reason.code !== "internal") return;
    const cause = reason instanceof Error ? (reason.cause ?? reason) : reason.message;
    const text = cause instanceof Error ? (cause.stack ?? cause.message) : JSON.stringify(cause);
    this.#context.logger.error("request_failed", {
      requestId: this.requestId,
      path: this.#path,
      cause: text,
    });
  }

  /** Answers although the body has not been read: the connection cannot be used again. */
  #refuseUnread(reason: Failure): void {
    this.#body?.stop();
    const { socket } = this.#request;
    const hasBody = !this.#request.complete && !this.#awaitsContinue;
    if (!hasBody) return this.fail(reason);
    this.#response.shouldKeepAlive = false;
    let thrownAway = 0;
    this.#request.on("data", (chunk: Buffer) => {
      thrownAway += chunk.length;
      if (thrownAway > lingering.bytes) socket.destroy();
    });
    this.#request.resume();
    this.#context.clock.after(lingering.ms, () => socket.destroySoon());
    this.fail(reason);
  }

  #finishWhole(answer: WireAnswer, reason: Failure | undefined): void {
    let length = 0;
    for (const piece of answer.body) length += piece.length;
    const response = this.#response;
    response.writeHead(answer.status, this.#headers(answer.headers, length, reason));
    const [first] = answer.body;
    if (answer.body.length <= 1) response.end(first);
    else writePieces(response, answer.body);
    this.#end(answer.status);
  }

  #headers(headers: HeaderList, length: number | undefined, reason: Failure | undefined): string[] {
    const flat = answerHeaders(headers, length, {
      requestId: this.requestId,
      retryAfterMs: reason?.retryAfterMs,
    });
    this.#context.cors.append(flat, this.#request.headers.origin);
    if (this.#context.draining()) flat.push("connection", "close");
    return flat;
  }

  #end(status: number): void {
    this.#state = "ended";
    this.#body?.stop();
    this.#body?.release();
    this.#match.route.meter.ended(status, this.#context.clock.now() - this.receivedAt);
    this.#context.onEnd(this);
  }
}

function writePieces(response: ServerResponse, pieces: readonly Uint8Array[]): void {
  response.cork();
  for (const piece of pieces) response.write(piece);
  response.end();
  response.uncork();
}

/** The answer to a path that has no route. */
export function noRouteAnswer(
  reason: Failure,
  requestId: string,
  writeFailure: Route["writeFailure"] | undefined,
): WireAnswer {
  return (writeFailure ?? plainFailure)(reason, requestId);
}

/** The failure of a request whose head or body did not arrive as HTTP wants it. */
export function malformedRequest(code: string | undefined): Failure {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT")
    return failure("request_timeout", "The request did not arrive in time");
  if (code === "HPE_HEADER_OVERFLOW") return failure("bad_request", "The headers are too large");
  return failure("bad_request", "This is not an HTTP/1.1 request");
}
