/** One ext_proc stream: an HTTP request that Envoy asks about, from its head to the end of its answer. */
import type { StreamServerCall } from "@spillway/grpc";
import type { ForwardDecision } from "../../contracts/http-endpoint.ts";
import type { Decision } from "../../contracts/pipeline.ts";
import type { Route, RouteResult, StreamedAnswer } from "../../contracts/route.ts";
import { AddressSubset } from "../../core/address-subset.ts";
import { Cancellation } from "../../core/cancellation.ts";
import { failure, isFailure, toFailure, type Failure } from "../../core/errors.ts";
import type { AttemptTarget } from "../../core/forward.ts";
import type { Outcome } from "../../core/outcome.ts";
import { requestIdFrom } from "../../core/request-id.ts";
import { carriesTensors, type Caller, type InferenceRequest } from "../../core/request.ts";
import { AnswerPhase } from "./answer-phase.ts";
import { addressesOf, scoresOf } from "./endpoint-scores.ts";
import { AnswerRelay } from "./answer-relay.ts";
import type { StreamEnd } from "./extproc-metrics.ts";
import { failureAnswer } from "./inference-error.ts";
import { PickedRequest } from "./picked-request.ts";
import { pickAtRandom } from "./random-pick.ts";
import { bodyMode, readMessage, type BodyModes, type EnvoyMessage } from "./read-message.ts";
import { readMetadata } from "./read-metadata.ts";
import { RequestBody } from "./request-body.ts";
import { readRequestHead, type RequestHeadRead } from "./request-head.ts";
import { sendRequest, type SentRequest } from "./send-request.ts";
import type { StreamContext } from "./stream-context.ts";
import { WireError } from "./wire-cursor.ts";
import { continueRequest, immediateReply, trailersReply, type ImmediateAnswer } from "./write-replies.ts";

/**
 * Where a stream is.
 * - `head`: nothing has come.
 * - `receiving`: the head is here, the body is not complete.
 * - `deciding`: the dialect, the line or the pool has the request.
 * - `sent`: Envoy was told where it goes.
 * - `answering`: the head of the answer has come.
 * - `over`: nothing is waited for any more; Envoy closes the stream.
 */
type Phase = "head" | "receiving" | "deciding" | "sent" | "answering" | "over";

const fullDuplex: BodyModes = { request: bodyMode.fullDuplex, response: bodyMode.fullDuplex };

/** Answers one stream. Every method is called by the server, synchronously. */
export class ProcessStream {
  readonly #context: StreamContext;
  readonly #call: StreamServerCall;
  readonly #cancellation = new Cancellation();
  readonly #receivedAt: number;
  /** Its neighbours among the open streams. */
  next: ProcessStream | undefined;
  previous: ProcessStream | undefined;
  #open: { remove(stream: ProcessStream): void } | undefined;
  #phase: Phase = "head";
  #modes = fullDuplex;
  #head: RequestHeadRead | undefined;
  #caller: Caller | undefined;
  #body: RequestBody | undefined;
  /** The body is complete. */
  #received = false;
  #only: AddressSubset | undefined;
  #asked: InferenceRequest | undefined;
  #picked: PickedRequest | undefined;
  #relay: AnswerRelay | undefined;
  #answer: AnswerPhase | undefined;

  constructor(context: StreamContext, call: StreamServerCall) {
    this.#context = context;
    this.#call = call;
    this.#receivedAt = context.clock.now();
    context.meters.inFlight.value++;
  }

  /** Sets its listeners. `open` has it until either side has ended it. */
  listen(open: { remove(stream: ProcessStream): void }): void {
    const call = this.#call;
    call.onMessage((message) => this.#message(message as Buffer));
    call.onEnd(() => {
      this.#gone();
      call.end();
    });
    call.onCancel(() => this.#gone());
    this.#open = open;
    call.onDrain(() => call.resume());
  }

  /** The door's time is up. */
  cutOff(): void {
    if (this.#phase === "head" || this.#phase === "receiving" || this.#phase === "deciding") {
      this.#refuse(failure("draining"));
    } else this.#break(failure("draining"));
  }

  #message(bytes: Buffer): void {
    if (this.#phase === "over") return;
    try {
      this.#read(readMessage(bytes, this.#context.limits.maxHeaders));
    } catch (error) {
      this.#crashed(error);
    }
  }

  #read(message: EnvoyMessage): void {
    if (message.modes !== undefined && this.#phase === "head") this.#modes = message.modes;
    switch (message.kind) {
      case "requestHeaders":
        return this.#requestHeaders(message);
      case "requestBody":
        return this.#requestBody(message);
      case "requestTrailers":
        return this.#requestTrailers(message);
      case "responseHeaders":
        return this.#responseHeaders(message);
      case "responseBody":
        return this.#answer?.body(message);
      case "responseTrailers":
        return this.#answer?.trailers();
      case undefined:
    }
  }

  #requestHeaders(message: EnvoyMessage): void {
    if (this.#phase !== "head") return this.#break(failure("bad_request", "a second head of a request"));
    const { pipeline, random, limits } = this.#context;
    this.#phase = "receiving";
    const head = readRequestHead(message.headers);
    this.#head = { ...head, requestId: requestIdFrom(head.givenId, random) };
    this.#limitTo(message);
    this.#body = new RequestBody(limits, this.#context.meters.heldBytes);
    const verdict = pipeline.admit({
      door: "extproc",
      method: head.method,
      path: head.path,
      headers: head.headers,
      remoteAddress: this.#call.peer,
      scope: "infer",
    });
    if (message.endOfStream) this.#received = true;
    if (!(verdict instanceof Promise)) return this.#admitted(verdict);
    verdict.then(
      (later) => this.#guarded(() => this.#admitted(later)),
      (error: unknown) => this.#crashed(error),
    );
  }

  #admitted(caller: Caller | Failure): void {
    if (this.#phase !== "receiving") return;
    if (isFailure(caller)) return this.#refuse(caller);
    this.#caller = caller;
    if (this.#received) return this.#complete();
    switch (this.#modes.request) {
      case bodyMode.none:
        this.#received = true;
        return this.#complete();
      case bodyMode.buffered:
      case bodyMode.bufferedPartial:
        return this.#send([continueRequest()]);
      case bodyMode.fullDuplex:
        return;
      default:
        this.#refuse(failure("internal", "request_body_mode must be FULL_DUPLEX_STREAMED or BUFFERED"));
    }
  }

  #requestBody(message: EnvoyMessage): void {
    const body = this.#body;
    if (this.#phase !== "receiving" || body === undefined || this.#received) return;
    this.#limitTo(message);
    const refusal = body.add(message.body);
    if (refusal !== undefined) return this.#refuse(refusal);
    const isBuffered = this.#modes.request === bodyMode.buffered;
    if (!message.endOfStream && this.#modes.request === bodyMode.bufferedPartial) {
      return this.#refuse(failure("body_too_large", "The body is larger than what the proxy buffers"));
    }
    // With trailers, the whole of a buffered body comes without the end of the stream.
    if (!message.endOfStream && !isBuffered) return;
    this.#received = true;
    this.#complete();
  }

  #requestTrailers(message: EnvoyMessage): void {
    if (this.#phase === "receiving" && this.#body !== undefined) {
      this.#limitTo(message);
      this.#body.hasTrailers = true;
      this.#received = true;
      return this.#complete();
    }
    if (this.#phase === "sent") this.#send([trailersReply("request")]);
    else if (this.#phase === "deciding" && this.#body !== undefined) this.#body.owesTrailers = true;
  }

  #limitTo({ metadata }: EnvoyMessage): void {
    if (metadata === undefined || !this.#context.subsets) return;
    const { subset } = readMetadata(metadata);
    if (subset !== undefined) this.#only = new AddressSubset(subset);
  }

  /** The request is here whole, and its caller may ask. */
  #complete(): void {
    const head = this.#head;
    const caller = this.#caller;
    if (head === undefined || caller === undefined) return;
    this.#phase = "deciding";
    const isEmpty = this.#body?.isAbsent ?? true;
    const route = isEmpty || head.method !== "POST" ? undefined : this.#context.routes.find(head.path);
    if (route === undefined) return this.#pass();
    const result = this.#handle(route, head, caller);
    if (!(result instanceof Promise)) return this.#handled(result);
    result.then(
      (later) => this.#guarded(() => this.#handled(later)),
      (error: unknown) => this.#crashed(error),
    );
  }

  #handle(route: Route, head: RequestHeadRead, caller: Caller): ReturnType<Route["handle"]> {
    return route.handle({
      method: head.method,
      path: route.path,
      query: head.query,
      headers: head.headers,
      params: {},
      body: this.#body?.join() ?? new Uint8Array(0),
      caller,
      requestId: head.requestId,
      receivedAt: this.#receivedAt,
      cancellation: this.#cancellation,
    });
  }

  #handled(result: RouteResult | StreamedAnswer): void {
    if (this.#phase !== "deciding") return;
    if ("payload" in result) return carriesTensors(result) ? this.#pass() : this.#decide(result);
    if ("carry" in result) return this.#pass();
    if (isFailure(result)) return this.#refuse(result);
    const details = "answered by the gateway";
    this.#answerAtOnce({ ...result, details });
  }

  #decide(request: InferenceRequest): void {
    this.#asked = request;
    if (this.#only !== undefined) request.only = this.#only;
    const verdict = this.#context.pipeline.decide(request);
    if (!(verdict instanceof Promise)) return this.#decided(verdict);
    verdict.then(
      (later) => this.#guarded(() => this.#decided(later)),
      (error: unknown) => this.#crashed(error),
    );
  }

  #decided(verdict: Decision | Failure): void {
    if (isFailure(verdict)) return void (this.#phase === "deciding" && this.#refuse(verdict));
    if (verdict.kind === "model") throw new TypeError("a request for HTTP servers was given to a model");
    const { lease, endpoints, route, request } = verdict;
    const { clock, onCarried } = this.#context;
    const at = { endpoint: endpoints[0], pool: route.pool };
    const picked = new PickedRequest({ clock, lease, ...at, decision: verdict, onCarried });
    if (this.#phase !== "deciding") return picked.calledOff(undefined);
    this.#picked = picked;
    const target = endpoints[0].targetFor(route.model);
    if (target === undefined) return this.#giveUp(failure("model_unavailable", undefined, 1_000));
    const waiting = request.payload.prepare(target, request.cancellation);
    if (waiting === undefined) return this.#forward(verdict, target);
    void waiting.then(() => this.#guarded(() => this.#forward(verdict, target)));
  }

  #forward({ request, endpoints }: ForwardDecision, target: AttemptTarget): void {
    if (this.#phase !== "deciding" || this.#head === undefined) return;
    const relay = new AnswerRelay({ onLateEnd: () => this.#guarded(() => this.#answer?.late()) });
    const wire = request.payload.attempt(target, relay);
    if (isFailure(wire)) return this.#giveUp(wire);
    const isOwn = wire.body === this.#body?.join() && wire.rest === undefined;
    relay.begin(wire.reader, isOwn ? "watched" : "rewritten");
    this.#relay = relay;
    request.cancellation.listen((reason) => (reason === "evicted" ? this.#evicted() : undefined));
    this.#tell({
      addresses: addressesOf(endpoints),
      scores: this.#context.explanations && scoresOf(this.#context.explanations, request.id),
      wire: isOwn ? undefined : wire,
      readsAnswer: true,
    });
  }

  /** Any server of the only pool: nothing is known of the request. */
  #pass(): void {
    const { pools, random, clock } = this.#context;
    const picked = pickAtRandom({ pools, random, clock, only: this.#only });
    if (isFailure(picked)) return this.#refuse(picked);
    this.#picked = picked;
    this.#tell({
      addresses: picked.endpoint.address,
      scores: undefined,
      wire: undefined,
      readsAnswer: false,
    });
  }

  /** Tells Envoy where the request goes, and gives its body back. */
  #tell(sent: SentRequest): void {
    const { clock, meters } = this.#context;
    if (this.#head === undefined || this.#body === undefined) return;
    this.#phase = "sent";
    meters.pick.observe((clock.now() - this.#receivedAt) / 1_000);
    sendRequest({ head: this.#head, body: this.#body, mode: this.#modes.request, sent }, (message) =>
      this.#send(message),
    );
    if (this.#body.owesTrailers) this.#send([trailersReply("request")]);
  }

  #responseHeaders(message: EnvoyMessage): void {
    const picked = this.#picked;
    if (this.#phase !== "sent" || picked === undefined) return this.#givenUpByEnvoy();
    this.#phase = "answering";
    this.#answer = new AnswerPhase({
      stream: {
        send: (reply) => this.#send(reply),
        answered: () => this.#answered(),
        broken: (reason) => this.#break(reason),
      },
      picked,
      relay: this.#relay,
      mode: this.#modes.response,
      wallNow: () => this.#context.clock.wallNow(),
    });
    this.#answer.headers(message);
  }

  /** Envoy answered the request itself before it was told where to go: nobody waits any more. */
  #givenUpByEnvoy(): void {
    this.#cancellation.cancel("client_gone");
    this.#finish("client-disconnect");
    this.#call.end();
  }

  #answered(): void {
    this.#relay?.cut();
    this.#picked?.completed(this.#usage());
    this.#finish("natural");
  }

  #evicted(): void {
    if (this.#phase !== "sent" && this.#phase !== "answering") return;
    this.#calledOff("evicted");
    this.#send([
      immediateReply(failureAnswer(failure("evicted", undefined, 1_000), this.#head?.requestId ?? "")),
    ]);
    this.#finish("evicted");
    this.#call.end();
  }

  #gone(): void {
    if (this.#phase === "over") return;
    this.#cancellation.cancel("client_gone");
    this.#calledOff();
    this.#finish("client-disconnect");
  }

  #calledOff(outcome: Outcome = "client_gone"): void {
    this.#relay?.cut();
    this.#picked?.calledOff(this.#picked.status === undefined ? undefined : this.#usage(), outcome);
  }

  #usage(): InferenceRequest["usage"] {
    const tokens = this.#relay?.tokens;
    if (this.#asked !== undefined && tokens !== undefined) this.#asked.usage = tokens;
    return tokens;
  }

  /** Refuses a request that has its server already. */
  #giveUp(reason: Failure): void {
    this.#calledOff(reason.code);
    this.#refuse(reason);
  }

  #refuse(reason: Failure): void {
    this.#answerAtOnce(failureAnswer(reason, this.#head?.requestId ?? ""));
  }

  #answerAtOnce(answer: ImmediateAnswer): void {
    if (this.#phase === "over") return;
    this.#context.meters.immediate.with(String(answer.status)).value++;
    this.#send([immediateReply(answer)]);
    this.#finish("natural");
    this.#call.end();
  }

  /** Ends the stream so that Envoy breaks off what it sends. */
  #break(reason: Failure): void {
    if (this.#phase === "over") return;
    this.#cancellation.cancel("client_gone");
    this.#calledOff();
    this.#finish("error");
    this.#call.fail(reason.code === "bad_request" ? 3 : 13, reason.message);
  }

  #guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#crashed(error);
    }
  }

  #crashed(error: unknown): void {
    if (this.#phase === "over") return;
    if (error instanceof WireError) return this.#break(failure("bad_request", error.message));
    const reason = toFailure(error);
    if (reason.code === "internal") {
      const text = error instanceof Error ? error.stack : String(error);
      this.#context.logger.error("extproc_failed", { error: text });
    }
    if (this.#phase === "sent" || this.#phase === "answering") return this.#break(reason);
    this.#giveUp(reason);
  }

  #send(message: readonly Uint8Array[]): void {
    if (!this.#call.send(message)) this.#call.pause();
  }

  /** Exactly once: what the request held is given back. */
  #finish(cause: StreamEnd): void {
    this.#phase = "over";
    this.#open?.remove(this);
    this.#open = undefined;
    const { meters } = this.#context;
    meters.inFlight.value--;
    meters.ended[cause].value++;
    this.#body?.release();
    this.#asked?.reservation?.settle(this.#asked.usage);
  }
}
