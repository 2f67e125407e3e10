/**
 * One ext_proc stream: an HTTP request that Envoy asks about, from its head to the end of its answer. Its parts in the
 * order in which they are met: `request-phase.ts` takes head, body and trailers, `request-decision.ts` finds the server,
 * `answer-phase.ts` takes the answer. Here are the messages told apart, and the ends.
 */
import type { StreamServerCall } from "@spillway/grpc";
import { failure, toFailure, type Failure } from "../../core/errors.ts";
import { AnswerPhase, type AnswerStream } from "./answer-phase.ts";
import type { StreamEnd } from "./extproc-metrics.ts";
import { failureAnswer } from "./inference-error.ts";
import { bodyMode, readMessage, type BodyModes, type EnvoyMessage } from "./read-message.ts";
import type { RequestStream, StreamPhase } from "./request-stream.ts";
import { RequestDecision } from "./request-decision.ts";
import { RequestPhase } from "./request-phase.ts";
import type { SentRequest } from "./send-request.ts";
import type { StreamContext } from "./stream-context.ts";
import { WireError } from "./wire-cursor.ts";
import { immediateReply, type ImmediateAnswer } from "./write-replies.ts";

const fullDuplex: BodyModes = { request: bodyMode.fullDuplex, response: bodyMode.fullDuplex };

/** Answers one stream. Every method is called by the server, or by one of its parts, synchronously. */
export class ProcessStream implements RequestStream, AnswerStream {
  readonly context: StreamContext;
  readonly receivedAt: number;
  phase: StreamPhase = "head";
  modes = fullDuplex;
  /** Its neighbours among the open streams. */
  next: ProcessStream | undefined;
  previous: ProcessStream | undefined;
  readonly #call: StreamServerCall;
  #open: { remove(stream: ProcessStream): void } | undefined;
  readonly #decision: RequestDecision;
  readonly #request: RequestPhase;
  #answer: AnswerPhase | undefined;

  constructor(context: StreamContext, call: StreamServerCall) {
    this.context = context;
    this.#call = call;
    this.receivedAt = context.clock.now();
    context.meters.inFlight.value++;
    this.#decision = new RequestDecision(this);
    this.#request = new RequestPhase(this, this.#decision);
  }

  get peer(): string {
    return this.#call.peer;
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
    if (this.phase === "head" || this.phase === "receiving" || this.phase === "deciding") {
      this.refuse(failure("draining"));
    } else this.broken(failure("draining"));
  }

  send(message: readonly Uint8Array[]): void {
    if (!this.#call.send(message)) this.#call.pause();
  }

  tell(sent: SentRequest): void {
    this.#request.tell(sent);
  }

  refuse(reason: Failure): void {
    this.answerAtOnce(failureAnswer(reason, this.#request.requestId));
  }

  answerAtOnce(answer: ImmediateAnswer): void {
    if (this.phase === "over") return;
    this.context.meters.immediate.with(String(answer.status)).value++;
    this.send([immediateReply(answer)]);
    this.#finish("natural");
    this.#call.end();
  }

  evicted(): void {
    if (this.phase !== "sent" && this.phase !== "answering") return;
    this.#decision.calledOff("evicted");
    const answer = failureAnswer(failure("evicted", undefined, 1_000), this.#request.requestId);
    this.send([immediateReply(answer)]);
    this.#finish("evicted");
    this.#call.end();
  }

  lateAnswer(): void {
    this.guarded(() => this.#answer?.late());
  }

  answered(): void {
    this.#decision.completed();
    this.#finish("natural");
  }

  /** Ends the stream so that Envoy breaks off what it sends. */
  broken(reason: Failure): void {
    if (this.phase === "over") return;
    this.#decision.abandon();
    this.#finish("error");
    this.#call.fail(reason.code === "bad_request" ? 3 : 13, reason.message);
  }

  guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.crashed(error);
    }
  }

  crashed(error: unknown): void {
    if (this.phase === "over") return;
    if (error instanceof WireError) return this.broken(failure("bad_request", error.message));
    const reason = toFailure(error);
    if (reason.code === "internal") {
      const text = error instanceof Error ? error.stack : String(error);
      this.context.logger.error("extproc_failed", { error: text });
    }
    if (this.phase === "sent" || this.phase === "answering") return this.broken(reason);
    this.#decision.giveUp(reason);
  }

  #message(bytes: Buffer): void {
    if (this.phase === "over") return;
    try {
      this.#read(readMessage(bytes, this.context.limits.maxHeaders));
    } catch (error) {
      this.crashed(error);
    }
  }

  #read(message: EnvoyMessage): void {
    if (message.modes !== undefined && this.phase === "head") this.modes = message.modes;
    switch (message.kind) {
      case "requestHeaders":
        return this.#request.headers(message);
      case "requestBody":
        return this.#request.body(message);
      case "requestTrailers":
        return this.#request.trailers(message);
      case "responseHeaders":
        return this.#responseHeaders(message);
      case "responseBody":
        return this.#answer?.body(message);
      case "responseTrailers":
        return this.#answer?.trailers();
      case undefined:
    }
  }

  #responseHeaders(message: EnvoyMessage): void {
    const { picked, relay } = this.#decision;
    if (this.phase !== "sent" || picked === undefined) return this.#givenUpByEnvoy();
    this.phase = "answering";
    const wallNow = (): number => this.context.clock.wallNow();
    this.#answer = new AnswerPhase({ stream: this, picked, relay, mode: this.modes.response, wallNow });
    this.#answer.headers(message);
  }

  /** Envoy answered the request itself before it was told where to go: nobody waits any more. */
  #givenUpByEnvoy(): void {
    this.#gone();
    this.#call.end();
  }

  #gone(): void {
    if (this.phase === "over") return;
    this.#decision.abandon();
    this.#finish("client-disconnect");
  }

  /** Exactly once: what the request held is given back. */
  #finish(cause: StreamEnd): void {
    this.phase = "over";
    this.#open?.remove(this);
    this.#open = undefined;
    const { meters } = this.context;
    meters.inFlight.value--;
    meters.ended[cause].value++;
    this.#request.release();
    this.#decision.settle();
  }
}
