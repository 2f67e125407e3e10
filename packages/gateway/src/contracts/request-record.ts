/** What is known of a forwarded request once it has ended: for accounts, and for who asks what became of it. */
import type { ForwardPayload, TokenUsage } from "../core/forward.ts";
import type { Outcome } from "../core/outcome.ts";
import type { InferenceRequest } from "../core/request.ts";
import type { RuleTrace } from "../core/rule-trace.ts";
import type { EscalationStory } from "./escalation.ts";
import type { ForwardRoute } from "./http-endpoint.ts";

/** One request as it ended. What it refers to is to be read during the call that tells it. */
export interface ForwardRecord {
  readonly request: InferenceRequest<ForwardPayload>;
  readonly route: ForwardRoute;
  /** Id of the endpoint that answered, or was asked last. */
  readonly endpoint: string;
  readonly outcome: Outcome;
  readonly attempts: number;
  readonly queueMs: number;
  /** From the first attempt to the end. */
  readonly durationMs: number;
  /** Of the attempt that answered. */
  readonly firstTokenMs: number | undefined;
  readonly usage: TokenUsage | undefined;
  /** Of the caller's body; absent where it is not known. */
  readonly requestBytes?: number | undefined;
  /** Of the answer's body, as far as it went to the caller; absent where nobody counted. */
  readonly responseBytes?: number | undefined;
  /** Of a request on a route that escalates; not all of it is known yet. */
  readonly escalation: EscalationStory | undefined;
}

/** What is kept of one. */
export interface RequestRecord {
  readonly id: string;
  /** Id of the caller's key, or `local`, or `anonymous`. */
  readonly caller: string;
  /** As the caller named it. */
  readonly model: string;
  /** Pool and endpoint are empty where a rule refused the request. */
  readonly pool: string;
  readonly endpoint: string;
  readonly outcome: Outcome;
  readonly attempts: number;
  readonly queueMs: number;
  readonly durationMs: number;
  /** Undefined where no content came. */
  readonly firstTokenMs: number | undefined;
  readonly usage: TokenUsage | undefined;
  /** Undefined where the route does not escalate. */
  readonly escalation: EscalationStory | undefined;
  /** What the rules of the routing layer did, in their order; undefined where none looked at the request. */
  readonly rules: readonly RuleTrace[] | undefined;
}

/** The records of the last requests. */
export interface RequestRecords {
  add(record: ForwardRecord): void;
  /** A request that a rule has refused, which got to no pool. */
  addRefused(request: InferenceRequest<ForwardPayload>, outcome: Outcome): void;
  /** The last one of this id; undefined where it is not kept, or no more. */
  find(id: string): RequestRecord | undefined;
}
