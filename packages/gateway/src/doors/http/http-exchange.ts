/** One HTTP request from the end of its headers to the end of its answer. */
import type { ServerResponse } from "node:http";
import type { Decision, Exchange, ResponseSink } from "../../contracts/pipeline.ts";
import { writePlainFailure } from "../../contracts/plain-failure.ts";
import type { HttpCall, Route, RouteResult, StreamedAnswer } from "../../contracts/route.ts";
import { Cancellation } from "../../core/cancellation.ts";
import { failure, isFailure, toFailure, type Failure } from "../../core/errors.ts";
import { headerValue, type HeaderList } from "../../core/headers.ts";
import { requestIdFrom } from "../../core/request-id.ts";
import type { Caller, InferenceRequest, WireAnswer } from "../../core/request.ts";
import type { SpentMemory } from "../../core/wire-answer.ts";
import { intakeOf, type BodyIntake } from "./body-intake.ts";
import type { BodyRequest } from "./body-request.ts";
import { BodyUpload, uploadRefusal } from "./body-upload.ts";
import type { Attached, Connection } from "./connection.ts";
import { addCorsHeaders, isPreflight, preflightAnswer } from "./cors.ts";
import type { DoorContext } from "./door-context.ts";
import { failureAnswer, unroutedFailure } from "./failure-answer.ts";
import { Linger } from "./linger.ts";
import { answerEncoding, encodeAnswer, minEncodeBytes } from "./encode-answer.ts";
import type { RouteMatch } from "./router.ts";
import { StreamWriter } from "./stream-writer.ts";
import { freeWhenTaken, holdUntilTaken } from "./taken-answer.ts";
import { endWith, mayHaveBody, sizeOf } from "./write-answer.ts";

/**
 * Where a request is.
 * - `admitting`: the pipeline looks at its head; no byte of its body is kept.
 * - `reading`: its body arrives.
 * - `working`: the route, the line or the model has it.
 * - `streaming`: the head of its answer is written.
 * - `lingering`: answered before its body was in; the rest is thrown away for a while, so that the
 *   client gets to read the answer before the connection ends.
 * - `done`: answered, or the client has left.
 */
type Phase = "admitting" | "reading" | "working" | "streaming" | "lingering" | "done";

type Found = Extract<RouteMatch, { kind: "found" }>;

/** When an answer comes before the body, a rest of the body up to this size is read and thrown away to keep the connection. */
const skipBytes = 262_144;

/** Answers above this size count as held until the client has taken them. */
const largeAnswerBytes = 65_536;

/** Requests that one connection may have under way: a client that pipelines more is told to use more connections. */
const maxPipelined = 64;

const noBody = new Uint8Array(0);

/** A request and its answer; it is its own sink. */
export class HttpExchange implements ResponseSink, Attached {
  readonly #door: DoorContext;
  readonly #connection: Connection;
  readonly #request: BodyRequest;
  readonly #response: ServerResponse;
  readonly #method: string;
  readonly #path: string;
  readonly #query: string;
  readonly #requestId: string;
  readonly #receivedAt: number;
  readonly #cancellation = new Cancellation();
  /** Undefined for a request without a body. */
  readonly #intake: BodyIntake | undefined;
  #upload: BodyUpload | undefined;
  /** The body, read whole. */
  #body: Uint8Array = noBody;
  #match: RouteMatch | undefined;
  #phase: Phase = "admitting";
  #status = 0;
  #caller: Caller | undefined;
  /** What the route asked of the pipeline. */
  #asked: InferenceRequest | undefined;
  #expectsContinue = false;
  #isBroken = false;
  #exchange: Exchange | undefined;
  /** Of a streamed answer. */
  #writer: StreamWriter | undefined;
  #lingering: Linger | undefined;

  constructor(door: DoorContext, connection: Connection, request: BodyRequest, response: ServerResponse) {
    this.#door = door;
    this.#connection = connection;
    this.#request = request;
    this.#response = response;
    const { url = "", method = "" } = request;
    const mark = url.indexOf("?");
    this.#method = method;
    this.#path = mark < 0 ? url : url.slice(0, mark);
    this.#query = mark < 0 ? "" : url.slice(mark + 1);
    this.#requestId = requestIdFrom(headerValue(request.headers, "x-request-id"), door.random);
    this.#receivedAt = door.clock.now();
    this.#intake = intakeOf(request, door);
    connection.lastSeenAt = this.#receivedAt;
    connection.attach(this);
    door.meters.inFlight.value++;
  }

  /** Begins. `continue`: the client sends its body only when told to. */
  start(expects: "nothing" | "continue"): void {
    this.#expectsContinue = expects === "continue";
    const { headers, httpVersion } = this.#request;
    if (headers.host === undefined && httpVersion === "1.1") {
      return this.fail(failure("bad_request", "The Host header is missing"));
    }
    if (this.#connection.size > maxPipelined) {
      return this.fail(failure("overloaded", "Too many requests at once on one connection"));
    }
    if (isPreflight(this.#method, headers)) return this.#answerPreflight();
    const match = this.#door.router.match(this.#method, this.#path);
    this.#match = match;
    if (match.kind === "found") this.#admit(match);
    else this.fail(unroutedFailure(match, this.#method, this.#path));
  }

  /** The connection has ended. */
  gone(): void {
    if (this.#phase === "lingering") return this.#endLingering();
    if (this.#phase === "done") return;
    this.#phase = "done";
    this.#cancellation.cancel("client_gone");
    this.#exchange?.cancel("client_gone");
    // Last: what is called off says before what it has used.
    this.#finish(499);
  }

  broken(reason: Failure): void {
    this.#isBroken = true;
    if (this.#request.complete) return;
    if (this.#phase === "reading") return this.fail(reason);
    // An upload may take as long as it likes.
    if (this.#upload === undefined || reason.code === "request_timeout") return;
    this.#exchange?.cancel("client_gone");
    this.fail(reason);
  }

  whole(answer: WireAnswer, spent?: SpentMemory): void {
    if (this.#phase !== "working") return;
    const size = sizeOf(answer.body);
    const encoding = size > minEncodeBytes ? answerEncoding(this.#request.headers, answer) : undefined;
    if (encoding === undefined) return this.#send(answer, size, spent);
    encodeAnswer(answer, encoding, (encoded) => {
      if (this.#phase === "working") this.#send(encoded, sizeOf(encoded.body), spent);
    });
  }

  head(status: number, headers: HeaderList): void {
    if (this.#phase !== "working") return;
    if (!this.#writeHead(status, this.#headers(headers))) return;
    this.#phase = "streaming";
    this.#status = status;
    this.#response.on("drain", () => this.drained());
    this.#writer = new StreamWriter(this.#response, this.#method);
  }

  data(chunk: Uint8Array): boolean {
    return this.#phase !== "streaming" || this.#writer === undefined || this.#writer.write(chunk);
  }

  gather(): void {
    if (this.#phase === "streaming") this.#writer?.gather();
  }

  drained(): void {
    this.#exchange?.resume();
  }

  end(): void {
    if (this.#phase !== "streaming") return;
    this.#response.end();
    this.#finish(this.#status);
  }

  fail(reason: Failure): void {
    if (this.#phase === "done" || this.#phase === "lingering") return;
    if (this.#phase === "streaming") {
      this.#finish(this.#status);
      return this.#writer?.abort(this.#connection.socket);
    }
    const answer = failureAnswer(reason, {
      match: this.#match,
      requestId: this.#requestId,
      headers: this.#request.headers,
      onFault: (error) => this.#log(error),
    });
    this.#send(answer, sizeOf(answer.body));
  }

  #admit(match: Found): void {
    try {
      const verdict = this.#door.pipeline.admit({
        door: "http",
        method: this.#method,
        path: this.#path,
        headers: this.#request.headers,
        remoteAddress: this.#connection.remoteAddress,
        scope: match.compiled.route.scope,
      });
      if (!(verdict instanceof Promise)) return this.#admitted(match, verdict);
      verdict.then(
        (later) => this.#admitted(match, later),
        (error: unknown) => this.#crashed(error),
      );
    } catch (error) {
      this.#crashed(error);
    }
  }

  #admitted(match: Found, caller: Caller | Failure): void {
    if (this.#phase !== "admitting") return;
    if (isFailure(caller)) return this.fail(caller);
    this.#caller = caller;
    const { route } = match.compiled;
    const intake = this.#intake;
    if (intake === undefined || route.body === "none") {
      return this.#handle(route, this.#call(match, caller, noBody));
    }
    const refusal = route.body === "stream" ? uploadRefusal(this.#request) : intake.refusal();
    if (refusal !== undefined) return this.fail(refusal);
    if (route.body === "stream") return this.#handle(route, this.#uploadCall(match, caller));
    this.#phase = "reading";
    intake.read((body) => {
      if (isFailure(body)) this.fail(body);
      else this.#handle(route, this.#call(match, caller, (this.#body = body)));
    });
    this.#continue();
  }

  /** Tells a client that waits for it to send its body. */
  #continue(): void {
    if (this.#expectsContinue) this.#response.writeContinue();
    this.#expectsContinue = false;
  }

  #uploadCall(match: Found, caller: Caller): HttpCall {
    const wanted = (): void => this.#continue();
    const upload = new BodyUpload({ request: this.#request, budget: this.#door.budget, wanted });
    this.#upload = upload;
    return { ...this.#call(match, caller, noBody), upload };
  }

  #call(match: Found, caller: Caller, body: Uint8Array): HttpCall {
    return {
      method: this.#method,
      path: this.#path,
      query: this.#query,
      headers: this.#request.headers,
      params: match.params,
      body,
      caller,
      requestId: this.#requestId,
      receivedAt: this.#receivedAt,
      cancellation: this.#cancellation,
    };
  }

  #handle(route: Route, call: HttpCall): void {
    this.#phase = "working";
    try {
      const result = route.handle(call);
      if (!(result instanceof Promise)) return this.#handled(result);
      result.then(
        (later) => this.#handled(later),
        (error: unknown) => this.#crashed(error),
      );
    } catch (error) {
      this.#crashed(error);
    }
  }

  #handled(result: RouteResult | StreamedAnswer): void {
    if (this.#phase !== "working") return;
    if ("payload" in result) this.#decide(result);
    else if ("carry" in result) this.#stream(result);
    else if (isFailure(result)) this.fail(result);
    else this.whole(result);
  }

  #stream(answer: StreamedAnswer): void {
    try {
      this.#exchange = answer.carry(this);
    } catch (error) {
      this.#crashed(error);
    }
  }

  #decide(request: InferenceRequest): void {
    this.#asked = request;
    try {
      const verdict = this.#door.pipeline.decide(request);
      if (!(verdict instanceof Promise)) return this.#decided(verdict);
      verdict.then(
        (later) => this.#decided(later),
        (error: unknown) => this.#crashed(error),
      );
    } catch (error) {
      this.#crashed(error);
    }
  }

  /** A decision is carried even when the client has left meanwhile: what it holds is given back there. */
  #decided(decision: Decision | Failure): void {
    if (isFailure(decision)) return this.fail(decision);
    try {
      this.#exchange = this.#door.pipeline.carry(decision, this);
    } catch (error) {
      return this.#crashed(error);
    }
    const { reason } = this.#cancellation;
    if (reason !== undefined) this.#exchange.cancel(reason);
  }

  #crashed(error: unknown): void {
    const thrown = toFailure(error);
    if (thrown.code === "internal") this.#log(thrown.cause ?? thrown);
    this.fail(thrown);
  }

  #log(error: unknown): void {
    const text = error instanceof Error ? error.stack : String(error);
    const fields = { requestId: this.#requestId, path: this.#path, error: text };
    this.#door.logger.error("http_request_failed", fields);
  }

  #answerPreflight(): void {
    const answer = preflightAnswer(this.#request.headers, this.#door.origins);
    if (isFailure(answer)) this.fail(answer);
    else this.#send(answer, 0);
  }

  #send(answer: WireAnswer, size: number, spent?: SpentMemory): void {
    const response = this.#response;
    const { intake, lingers } = this.#unread();
    if (lingers || (intake !== undefined && this.#expectsContinue)) response.shouldKeepAlive = false;
    const headers = this.#headers(answer.headers);
    if (mayHaveBody(answer.status)) headers.push("content-length", String(size));
    if (!this.#writeHead(answer.status, headers)) return;
    if (size > largeAnswerBytes) holdUntilTaken(response, this.#door.budget, size);
    if (lingers) return this.#linger(answer);
    if (spent !== undefined) freeWhenTaken(response, spent, this.#body);
    endWith(response, answer.body, size);
    this.#finish(answer.status);
  }

  /** The rest of a body that the answer does not wait for. */
  #unread(): { readonly intake: BodyIntake | undefined; readonly lingers: boolean } {
    const intake = this.#intake;
    if (intake === undefined || this.#request.complete) return { intake: undefined, lingers: false };
    return { intake, lingers: intake.announced > skipBytes };
  }

  /** Names and values in turn, as `writeHead` takes them. */
  #headers(headers: HeaderList): string[] {
    const flat = ["x-request-id", this.#requestId];
    addPairs(flat, headers);
    const limits = this.#caller?.meter?.headers();
    if (limits !== undefined) addPairs(flat, limits);
    const { origins, draining, keepAlive } = this.#door;
    if (origins !== undefined) addCorsHeaders(flat, origins, this.#request.headers.origin);
    if (draining || this.#isBroken) this.#response.shouldKeepAlive = false;
    if (this.#response.shouldKeepAlive) flat.push("keep-alive", keepAlive);
    return flat;
  }

  /** False when the headers hold what HTTP cannot carry; the request has then been answered `internal`. */
  #writeHead(status: number, headers: string[]): boolean {
    try {
      this.#response.writeHead(status, headers);
      return true;
    } catch (error) {
      this.#log(error);
      const answer = writePlainFailure(failure("internal"));
      this.#response.writeHead(answer.status, ["x-request-id", this.#requestId]);
      endWith(this.#response, answer.body, sizeOf(answer.body));
      this.#finish(answer.status);
      return false;
    }
  }

  /** Sends the answer but ends it, and with it the connection, only when the client has had time to read it. */
  #linger(answer: WireAnswer): void {
    this.#response.flushHeaders();
    for (const piece of answer.body) this.#response.write(piece);
    this.#settle(answer.status);
    this.#phase = "lingering";
    const done = (): void => this.#endLingering();
    this.#lingering = new Linger(this.#door.clock, this.#request, { isBroken: this.#isBroken, done });
  }

  #endLingering(): void {
    if (this.#phase !== "lingering") return;
    this.#phase = "done";
    this.#lingering?.stop();
    this.#connection.detach(this);
    this.#response.end();
  }

  #finish(status: number): void {
    this.#settle(status);
    this.#phase = "done";
    this.#connection.detach(this);
    // Its head went out before the door was closing, and said nothing of that.
    if (this.#door.draining && this.#response.shouldKeepAlive) this.#connection.endSoon(this.#door.clock);
  }

  /** Counts the answer, gives back the body and what the caller's limits held for it. */
  #settle(status: number): void {
    const { meters, unrouted, clock } = this.#door;
    const meter = this.#match?.kind === "found" ? this.#match.compiled.meter : unrouted;
    meter.count(status, clock.now() - this.#receivedAt);
    meters.inFlight.value--;
    this.#intake?.close();
    this.#upload?.close();
    this.#asked?.reservation?.settle(this.#asked.usage);
  }
}

/** By index: to take a pair apart by its pattern makes an iterator of each. */
function addPairs(flat: string[], headers: HeaderList): void {
  for (const header of headers) flat.push(header[0], header[1]);
}
