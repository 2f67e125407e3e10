/** One message of a gRPC call from its arrival to its answer. */
import type { Decision, Exchange, ResponseSink } from "../../contracts/pipeline.ts";
import type { RouteResult, RpcCall } from "../../contracts/route.ts";
import { Cancellation, type CancelReason } from "../../core/cancellation.ts";
import { errorTable, isFailure, toFailure, type Failure } from "../../core/errors.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { Caller, InferenceRequest, WireAnswer } from "../../core/request.ts";
import type { SpentMemory } from "../../core/wire-answer.ts";
import type { AdmittedHead, MeteredMethod, RpcContext } from "./rpc-context.ts";

/** How a message was answered: with a message, in pieces, and what is said beside it; or with a status. */
export type MessageOutcome =
  | {
      readonly message: readonly Uint8Array[];
      readonly headers: HeaderList;
      readonly spent?: SpentMemory | undefined;
    }
  | { readonly failure: Failure };

/** What an exchange is made from. */
export interface MessageParts extends MeteredMethod {
  readonly context: RpcContext;
  readonly head: AdmittedHead;
  readonly path: string;
  readonly timeoutMs: number | undefined;
  readonly message: Uint8Array;
  /** Ms on the door's clock: of the head for a unary call, of the message in a stream. */
  readonly receivedAt: number;
  /** The message counts as a request of its own: in a stream all but the first, which the call's head counted. */
  readonly isFurther: boolean;
  /** Called once, perhaps before `start` returns; never after `cancel`. */
  readonly done: (outcome: MessageOutcome) => void;
}

const cancelledStatus = errorTable.client_gone.grpc;
const deadlineStatus = 4;

/** It is its own sink: an answer over gRPC is one message, however many pieces it comes in. */
export class MessageExchange implements ResponseSink {
  readonly #parts: MessageParts;
  readonly #cancellation = new Cancellation();
  #call: RpcCall | undefined;
  /** What the method asked of the pipeline. */
  #asked: InferenceRequest | undefined;
  #exchange: Exchange | undefined;
  #pieces: Uint8Array[] = [];
  #isOpen = true;

  constructor(parts: MessageParts) {
    this.#parts = parts;
    parts.meter.started();
  }

  /** Begins. */
  start(): void {
    const { caller } = this.#parts.head;
    if (!(caller instanceof Promise)) return this.#handle(caller);
    caller.then(
      (later) => (isFailure(later) ? this.fail(later) : this.#handle(later)),
      (error: unknown) => this.#crashed(error),
    );
  }

  /** Nobody waits for the answer any more. */
  cancel(reason: CancelReason): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#cancellation.cancel(reason);
    this.#exchange?.cancel(reason);
    // Last: what is called off says before what it has used.
    this.#end(reason === "deadline" ? deadlineStatus : cancelledStatus);
  }

  whole(answer: WireAnswer, spent?: SpentMemory): void {
    this.#answer({ message: answer.body, headers: answer.headers, spent });
  }

  /** A message has no head. */
  head(): void {}

  data(chunk: Uint8Array): boolean {
    if (this.#isOpen) this.#pieces.push(chunk);
    return true;
  }

  end(): void {
    this.#answer({ message: this.#pieces, headers: [] });
  }

  fail(reason: Failure): void {
    if (!this.#isOpen) return;
    const message = this.#inDialect(reason);
    if (message === undefined) this.#answer({ failure: reason });
    else this.#answer({ message, headers: [] }, errorTable[reason.code].grpc);
  }

  /** A message that says the failure; undefined where the call's status says it. */
  #inDialect(reason: Failure): readonly Uint8Array[] | undefined {
    if (this.#call === undefined) return undefined;
    try {
      return this.#parts.method.writeFailure?.(reason, this.#call);
    } catch (error) {
      this.#log(error);
      return undefined;
    }
  }

  #handle(caller: Caller): void {
    if (!this.#isOpen) return;
    const { head, path, timeoutMs, message, receivedAt, method } = this.#parts;
    const { metadata, requestId } = head;
    const cancellation = this.#cancellation;
    const call = { path, metadata, message, caller, requestId, receivedAt, timeoutMs, cancellation };
    this.#call = call;
    const refusal = this.#parts.isFurther ? caller.meter?.admit() : undefined;
    if (refusal !== undefined) return this.fail(refusal);
    try {
      const result = method.handle(call);
      if (!(result instanceof Promise)) return this.#handled(result);
      result.then(
        (later) => this.#handled(later),
        (error: unknown) => this.#crashed(error),
      );
    } catch (error) {
      this.#crashed(error);
    }
  }

  #handled(result: RouteResult): void {
    if (!this.#isOpen) return;
    if ("payload" in result) this.#decide(result);
    else if (isFailure(result)) this.fail(result);
    else this.whole(result);
  }

  #decide(request: InferenceRequest): void {
    this.#asked = request;
    try {
      const verdict = this.#parts.context.pipeline.decide(request);
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
      this.#exchange = this.#parts.context.pipeline.carry(decision, this);
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
    const { head, path, context } = this.#parts;
    const text = error instanceof Error ? error.stack : String(error);
    context.logger.error("grpc_request_failed", { requestId: head.requestId, path, error: text });
  }

  /** `status` is what is counted where a failure is said inside a message. */
  #answer(outcome: MessageOutcome, status = 0): void {
    if (!this.#isOpen) return;
    this.#end("failure" in outcome ? errorTable[outcome.failure.code].grpc : status);
    const limits = this.#call?.caller.meter?.headers();
    this.#parts.done(limits === undefined ? outcome : withHeaders(outcome, limits));
  }

  #end(status: number): void {
    this.#isOpen = false;
    this.#pieces = [];
    const { meter, context, receivedAt } = this.#parts;
    meter.ended(status, context.clock.now() - receivedAt);
    this.#asked?.reservation?.settle(this.#asked.usage);
  }
}

function withHeaders(outcome: MessageOutcome, more: HeaderList): MessageOutcome {
  if ("message" in outcome) return { ...outcome, headers: [...outcome.headers, ...more] };
  const { failure } = outcome;
  return { failure: { ...failure, headers: [...(failure.headers ?? []), ...more] } };
}
