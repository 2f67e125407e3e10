/** What a load run says at its end: plain JSON. */
import type { LatencySummary } from "./histogram.ts";
import type { ProcessCostReading } from "./process-cost.ts";

/**
 * Why a request got no answer that counts:
 * `refused` no connection could be made; `reset` the connection broke (RST, EPIPE); `closed` the server ended it before
 * the answer was whole; `timeout` past its time, in flight or still waiting; `stream` the HTTP/2 stream was reset;
 * `malformed` the answer breaks the protocol; `check` whole but judged wrong; `other` any other socket error.
 */
export type FailureKind = (typeof FAILURE_KINDS)[number];

/** All failure kinds; the position is the index into counters. */
export const FAILURE_KINDS = [
  "refused",
  "reset",
  "closed",
  "timeout",
  "stream",
  "malformed",
  "check",
  "other",
] as const;

/** What the generator itself cost: a run whose generator was the bottleneck says nothing about the server. */
export interface GeneratorCost extends ProcessCostReading {
  /** Connections opened over the whole run. */
  readonly connects: number;
}

/** Answers over time; position i covers the milliseconds from i × `intervalMs` after the start of the window. */
export interface LoadSeries {
  readonly intervalMs: number;
  readonly ok: readonly number[];
  readonly errors: readonly number[];
  readonly maxMs: readonly number[];
}

/** How stamped events travelled; those that arrived in the window. */
export interface EventTimes {
  /** From the stamp to the arrival. */
  readonly delay: LatencySummary;
  /** From a request's intended send time to the arrival of its first event. */
  readonly first: LatencySummary;
}

/** The outcome of a run. Counts and latencies are of requests whose intended send time lies in the measured window. */
export interface LoadResult {
  readonly requests: number;
  /** Answered with a 2xx status, or grpc-status 0, and found right by the check. */
  readonly ok: number;
  /** Everything else: other statuses and failures. */
  readonly errors: number;
  /** Whole answers by HTTP status, or by grpc-status. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly failures: Readonly<Partial<Record<FailureKind, number>>>;
  readonly windowMs: number;
  /** Good answers that arrived inside the window, a second. */
  readonly ratePerSecond: number;
  /** Of good answers only: a fast refusal must not better it. */
  readonly latency: LatencySummary;
  /** Open loop: how late the generator's own clock sent requests that found a free slot. Part of `latency`. */
  readonly sendLag: LatencySummary;
  /** Open loop: requests that found every slot busy. */
  readonly waitedForSlot: number;
  readonly generator: GeneratorCost;
  readonly series?: LoadSeries;
  /** Of a run with `stampedEvents`. */
  readonly events?: EventTimes;
}
