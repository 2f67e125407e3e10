/** One message of a gRPC call from its arrival to its answer. */
import type { Pipeline, ResponseSink } from "../../contracts/pipeline.ts";
import type { RouteResult, RpcCall, RpcMethod } from "../../contracts/route.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import type { Cancellation } from "../../core/cancellation.ts";
import { isFailure, toFailure, type Failure } from "../../core/errors.ts";
import type { WireAnswer } from "../../core/request.ts";

/** How a message was answered. */
export type RpcOutcome = { readonly message: readonly Uint8Array[] } | { readonly failure: Failure };

/** What an exchange needs beside the call. */
export interface RpcContext {
  readonly pipeline: Pipeline;
  readonly logger: Logger;
}

/** Runs a method on one message. `done` is called exactly once unless the call is called off. */
export function runMethod(
  context: RpcContext,
  method: RpcMethod,
  call: RpcCall,
  done: (outcome: RpcOutcome) => void,
): void {
  const answer = new SingleAnswer(
    call.cancellation,
    (outcome) => done(translate(outcome, method, call)),
    context.logger,
    call,
  );
  try {
    const result = method.handle(call);
    if (result instanceof Promise) result.then((later) => goOn(context, later, answer), answer.broke);
    else goOn(context, result, answer);
  } catch (error) {
    answer.broke(error);
  }
}

/** Some protocols say a failure inside an OK answer. */
function translate(outcome: RpcOutcome, method: RpcMethod, call: RpcCall): RpcOutcome {
  if (!("failure" in outcome)) return outcome;
  const message = method.writeFailure?.(outcome.failure, call);
  return message === undefined ? outcome : { message };
}

function goOn(context: RpcContext, result: RouteResult, answer: SingleAnswer): void {
  if (isFailure(result)) return answer.fail(result);
  if ("status" in result) return answer.whole(result);
  const verdict = context.pipeline.decide(result);
  const decided = (decision: Awaited<typeof verdict>): void => {
    if (isFailure(decision)) answer.fail(decision);
    else context.pipeline.carry(decision, answer);
  };
  if (verdict instanceof Promise) verdict.then(decided, answer.broke);
  else decided(verdict);
}

/** A sink for answers that are one message. */
class SingleAnswer implements ResponseSink {
  readonly #done: (outcome: RpcOutcome) => void;
  readonly #cancellation: Cancellation;
  readonly #logger: Logger;
  readonly #call: RpcCall;
  readonly #pieces: Uint8Array[] = [];
  #ended = false;

  constructor(
    cancellation: Cancellation,
    done: (outcome: RpcOutcome) => void,
    logger: Logger,
    call: RpcCall,
  ) {
    this.#cancellation = cancellation;
    this.#done = done;
    this.#logger = logger;
    this.#call = call;
  }

  readonly broke = (error: unknown): void => this.fail(toFailure(error));

  whole(answer: WireAnswer): void {
    this.#finish({ message: answer.body });
  }

  head(): void {}

  data(chunk: Uint8Array): boolean {
    this.#pieces.push(chunk);
    return true;
  }

  end(): void {
    this.#finish({ message: this.#pieces });
  }

  fail(reason: Failure): void {
    if (reason.code === "internal") {
      const cause = reason instanceof Error ? (reason.cause ?? reason) : reason.message;
      const text = cause instanceof Error ? (cause.stack ?? cause.message) : JSON.stringify(cause);
      this.#logger.error("request_failed", {
        requestId: this.#call.requestId,
        path: this.#call.path,
        cause: text,
      });
    }
    this.#finish({ failure: reason });
  }

  #finish(outcome: RpcOutcome): void {
    if (this.#ended || this.#cancellation.reason !== undefined) return;
    this.#ended = true;
    this.#done(outcome);
  }
}
