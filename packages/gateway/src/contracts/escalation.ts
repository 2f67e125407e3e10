/** Escalation of requests that HTTP servers answer: what a route says about it, and what is told of one request. */
import type { Failure } from "../core/errors.ts";
import type { TokenUsage } from "../core/forward.ts";
import type { Outcome } from "../core/outcome.ts";
import type {
  PoolEscalationOutcome,
  PoolEscalationReason,
  PoolWithheldReason,
} from "../core/pool-escalation.ts";
import type { InferenceRequest, TensorPayload } from "../core/request.ts";
import type { ModelDecision } from "./endpoint.ts";
import type { Exchange, ResponseSink } from "./sink.ts";

/** When requests of a route go to another place than its targets, and which. */
export interface EscalateOptions {
  readonly to: {
    readonly pool: string;
    /** The model's name there. */
    readonly model: string;
  };
  readonly when: EscalateWhen;
  /**
   * Which answers are judged: `none`: those that are not streamed; `answer`: streams too, of which nothing is passed on
   * before their end.
   */
  readonly holdback: "none" | "answer";
  /** Bytes of an answer that are held back for this; a longer one is given as it is. */
  readonly maxHeldBytes: number;
  /** Escalations at most, in this process; what is undefined is not limited. */
  readonly budget: {
    readonly perMinute: number | undefined;
    /** A calendar month, UTC. */
    readonly perMonth: number | undefined;
  };
  /** Requests with this header (in lower case) stay here. `value`: only those where it says this; undefined: whatever it says. */
  readonly privacy: { readonly header: string; readonly value: string | undefined };
}

/** Reasons that count on a route. */
export interface EscalateWhen {
  /** Longest wait in line here, ms; a full line and a server that is busy count too. Undefined: overload is no reason. */
  readonly overloadAfterMs: number | undefined;
  /** No server here can answer. */
  readonly offline: boolean;
  /** Every caller may ask for it; false: only those with the scope `admin`. */
  readonly asked: boolean;
  /** The answer's confidence, exp of the mean log-probability of its tokens, is below this. Undefined: no reason. */
  readonly confidence: number | undefined;
  /** The mean distance between the likeliest token and the next is below this. Undefined: no reason. */
  readonly margin: number | undefined;
  /** The answer is not the JSON that the caller asked for. */
  readonly schema: boolean;
}

/** What a route says about escalation, with its name. */
export interface EscalationRule extends EscalateOptions {
  /** The route's model. */
  readonly route: string;
}

/** One of the places that were asked for one request, once it has ended. */
export interface EscalationLeg {
  readonly pool: string;
  readonly endpoint: string;
  readonly model: string;
  readonly outcome: Outcome;
  readonly durationMs: number;
  readonly usage: TokenUsage | undefined;
}

/** What is told of a request on a route that escalates. It is written until the request ends. */
export interface EscalationStory {
  /** Undefined: there was no reason. */
  reason: PoolEscalationReason | undefined;
  withheld: PoolWithheldReason | undefined;
  outcome: PoolEscalationOutcome | undefined;
  /** In the order in which they ended; two at most but for a request that is asked here again. */
  readonly legs: EscalationLeg[];
}

/** When requests with tensors for one model go to another. */
export interface ModelEscalationRule extends Pick<EscalateOptions, "when" | "budget" | "privacy"> {
  /** The model that is asked first. */
  readonly route: string;
  /** The other model, wherever it is served. */
  readonly to: string;
}

/** Wraps the way of requests with tensors. Those for other models go through untouched. */
export interface ModelEscalation {
  /** `decide`: the way of one request for one model. */
  decide(
    request: InferenceRequest<TensorPayload>,
    decide: (request: InferenceRequest<TensorPayload>) => Failure | Promise<ModelDecision | Failure>,
  ): Failure | Promise<ModelDecision | Failure>;
  carry(decision: ModelDecision, sink: ResponseSink): Exchange;
}
