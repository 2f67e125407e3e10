/** Which server a request goes to: asked of its dialect and of the pipeline. Holds what that took until the stream ends. */
import type { ForwardDecision } from "../../contracts/http-endpoint.ts";
import type { Decision } from "../../contracts/pipeline.ts";
import type { Route, RouteResult, StreamedAnswer } from "../../contracts/route.ts";
import type { AddressSubset } from "../../core/address-subset.ts";
import { Cancellation } from "../../core/cancellation.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { AttemptTarget, TokenUsage } from "../../core/forward.ts";
import type { Outcome } from "../../core/outcome.ts";
import { carriesTensors, type Caller, type InferenceRequest } from "../../core/request.ts";
import { AnswerRelay } from "./answer-relay.ts";
import { addressesOf, scoresOf } from "./endpoint-scores.ts";
import { PickedRequest } from "./picked-request.ts";
import { pickAtRandom } from "./random-pick.ts";
import type { RequestHeadRead } from "./request-head.ts";
import type { RequestStream } from "./request-stream.ts";

/** A request that is here whole. */
export interface WholeRequest {
  readonly route: Route;
  readonly head: RequestHeadRead;
  readonly caller: Caller;
  readonly body: Uint8Array;
}

/** One decision. While it is made the stream is `deciding`; what comes of it for a stream that is over is given back. */
export class RequestDecision {
  readonly cancellation = new Cancellation();
  /** The request and its server, once it has one. */
  picked: PickedRequest | undefined;
  /** Reads its answer; undefined: the answer is nobody's. */
  relay: AnswerRelay | undefined;
  readonly #stream: RequestStream;
  #only: AddressSubset | undefined;
  /** The body as it came. */
  #body: Uint8Array | undefined;
  #path = "";
  #asked: InferenceRequest | undefined;

  constructor(stream: RequestStream) {
    this.#stream = stream;
  }

  /** Reads the body in its dialect, and decides. */
  handle({ route, head, caller, body }: WholeRequest, only: AddressSubset | undefined): void {
    const stream = this.#stream;
    this.#only = only;
    this.#body = body;
    this.#path = head.path;
    const result = route.handle({
      method: head.method,
      path: route.path,
      query: head.query,
      headers: head.headers,
      params: {},
      body,
      caller,
      requestId: head.requestId,
      receivedAt: stream.receivedAt,
      cancellation: this.cancellation,
    });
    if (!(result instanceof Promise)) return this.#handled(result);
    result.then(
      (later) => stream.guarded(() => this.#handled(later)),
      (error: unknown) => stream.crashed(error),
    );
  }

  /** Decides on a request that is read. */
  decide(request: InferenceRequest, only: AddressSubset | undefined): void {
    const stream = this.#stream;
    this.#asked = request;
    if (only !== undefined) request.only = only;
    const verdict = stream.context.pipeline.decide(request);
    if (!(verdict instanceof Promise)) return this.#decided(verdict);
    verdict.then(
      (later) => stream.guarded(() => this.#decided(later)),
      (error: unknown) => stream.crashed(error),
    );
  }

  /** Any server of the only pool: nothing is known of the request. */
  pass(only: AddressSubset | undefined): void {
    const stream = this.#stream;
    const { pools, random, clock } = stream.context;
    const picked = pickAtRandom({ pools, random, clock, only });
    if (isFailure(picked)) return stream.refuse(picked);
    this.picked = picked;
    const addresses = picked.endpoint.address;
    stream.tell({ addresses, scores: undefined, wire: undefined, readsAnswer: false });
  }

  /** Refuses a request that may have its server already. */
  giveUp(reason: Failure): void {
    this.calledOff(reason.code);
    this.#stream.refuse(reason);
  }

  /** Nobody wants the request any more, wherever it is. */
  abandon(): void {
    this.cancellation.cancel("client_gone");
    this.calledOff("client_gone");
  }

  /** Its server lets go of it. */
  calledOff(outcome: Outcome): void {
    const { picked } = this;
    this.relay?.cut();
    picked?.calledOff(picked.status === undefined ? undefined : this.#usage(), outcome);
  }

  /** The answer has passed whole. */
  completed(): void {
    this.relay?.cut();
    this.picked?.completed(this.#usage());
  }

  /** The stream is over: what the caller was charged with is settled. */
  settle(): void {
    this.#asked?.reservation?.settle(this.#asked.usage);
  }

  #handled(result: RouteResult | StreamedAnswer): void {
    const stream = this.#stream;
    if (stream.phase !== "deciding") return;
    if ("payload" in result) {
      return carriesTensors(result) ? this.pass(this.#only) : this.decide(result, this.#only);
    }
    if ("carry" in result) return this.pass(this.#only);
    if (isFailure(result)) return stream.refuse(result);
    stream.answerAtOnce({ ...result, details: "answered by the gateway" });
  }

  #decided(verdict: Decision | Failure): void {
    const stream = this.#stream;
    if (isFailure(verdict)) return void (stream.phase === "deciding" && stream.refuse(verdict));
    if (verdict.kind === "model") throw new TypeError("a request for HTTP servers was given to a model");
    const { lease, endpoints, route, request } = verdict;
    const { clock, onCarried } = stream.context;
    const at = { endpoint: endpoints[0], pool: route.pool };
    const picked = new PickedRequest({ clock, lease, ...at, decision: verdict, onCarried });
    if (stream.phase !== "deciding") return picked.calledOff(undefined);
    this.picked = picked;
    const target = endpoints[0].targetFor(route.model);
    if (target === undefined) return this.giveUp(failure("model_unavailable", undefined, 1_000));
    const waiting = request.payload.prepare(target, request.cancellation);
    if (waiting === undefined) return this.#forward(verdict, target);
    void waiting.then(() => stream.guarded(() => this.#forward(verdict, target)));
  }

  #forward({ request, endpoints }: ForwardDecision, target: AttemptTarget): void {
    const stream = this.#stream;
    if (stream.phase !== "deciding") return;
    const relay = new AnswerRelay({ onLateEnd: () => stream.lateAnswer() });
    const wire = request.payload.attempt(target, relay);
    if (isFailure(wire)) return this.giveUp(wire);
    const passes = request.payload.passesTo !== undefined;
    const isOwn = passes || (wire.body === this.#body && wire.rest === undefined);
    relay.begin(wire.reader, isOwn ? "watched" : "rewritten");
    relay.isTranslated = !isOwn && !this.#path.endsWith(wire.path);
    this.relay = relay;
    request.cancellation.listen((reason) => (reason === "evicted" ? stream.evicted() : undefined));
    const { explanations } = stream.context;
    stream.tell({
      addresses: addressesOf(endpoints),
      scores: explanations && scoresOf(explanations, request.id),
      wire: isOwn ? undefined : wire,
      readsAnswer: true,
    });
  }

  #usage(): TokenUsage | undefined {
    const tokens = this.relay?.tokens;
    if (this.#asked !== undefined && tokens !== undefined) this.#asked.usage = tokens;
    return tokens;
  }
}
