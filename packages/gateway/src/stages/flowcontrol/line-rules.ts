/** What a line is told beyond a bound: bands, how long requests wait, who goes first. Made from a `FlowSpec`. */
import type { LineCost } from "../../contracts/line.ts";
import type { FairnessPolicy, OrderingPolicy } from "../../contracts/plugins/flow.ts";
import type { Failure } from "../../core/errors.ts";
import type { InferenceRequest, Payload } from "../../core/request.ts";

/** Bounds and policies of one priority. */
export interface BandRules {
  readonly maxRequests: number;
  readonly maxBytes: number;
  readonly maxTokens: number;
  /** How long a request waits that does not say, ms. */
  readonly ttlMs: number;
  /** Undefined: flows are not told apart. */
  readonly fairness: FairnessPolicy | undefined;
  /** Undefined: first come first served. */
  readonly ordering: OrderingPolicy | undefined;
}

/** Why a request does not get in, or has to leave. */
export type LeaveCause = "full" | "band-full" | "expired" | "cancelled" | "no-endpoints" | "displaced";

/** Where a request stood when it was refused. */
export interface Standing {
  /** Requests that go before it, itself included: 1 is the first. */
  readonly position: number;
  /** How long they would take at the present rate, ms; undefined: not known. */
  readonly waitMs: number | undefined;
}

/** A request that leaves the line, for who counts. */
export interface LineDeparture {
  readonly request: InferenceRequest<Payload>;
  readonly bound: LineCost;
  readonly enqueuedAt: number;
  /** For the observer's own use. */
  note: unknown;
}

/** How a request's time in line ended. */
export type LineOutcome = "dispatched" | LeaveCause | "flushed";

/** Hears what happens in a line. Times in ms. */
export interface LineObserver {
  joined(departure: LineDeparture, tookMs: number): void;
  /** Of one that had joined. */
  left(departure: LineDeparture, outcome: LineOutcome, now: number): void;
  /** Of one that never got in. */
  refused(departure: LineDeparture, outcome: LineOutcome, tookMs: number): void;
  /** One look at the line by who drains it. */
  taken(tookMs: number): void;
}

/** The rules of a pool's line. */
export interface LineRules {
  readonly maxRequests: number;
  readonly maxBytes: number;
  readonly maxTokens: number;
  /** How long a request waits while the pool has no endpoint, ms; counted anew from when that began or ended. */
  readonly noEndpointTtlMs: number;
  /** True: a sheddable request makes room for one of priority 0 or more where the line is full. */
  readonly displaces: boolean;
  /** The priority of the band that requests of a priority join: bounds the number of bands. */
  bandOf(priority: number): number;
  /** Asked once for each band. */
  rulesOf(band: number): BandRules;
  /** True while the pool has no endpoint at all. */
  isEmpty(): boolean;
  /** Prompt tokens and those that the answer is expected to have. */
  predictedTokens(request: InferenceRequest<Payload>, bound: LineCost): number;
  /** What the caller is told. */
  refusal(cause: LeaveCause, standing: Standing): Failure;
  /** What those are told who wait when the line is closed for `reason`. */
  flushed(reason: Failure): Failure;
  readonly observer: LineObserver;
}
