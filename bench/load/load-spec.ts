/** What a load run is told to do: plain JSON, so that it can be a workload file and cross a process boundary. */
import type { ArrivalKind } from "./arrivals.ts";
import type { BodySpec } from "./bodies.ts";

/** Where the server under test listens: TCP on loopback or a Unix socket. */
export type Target = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * Who decides when a request is sent. `closed`: the answer of the one before on the same slot. `open`: the clock; the
 * latency counts from the intended time, and a request that finds every slot busy waits inside that latency.
 */
export type Pace =
  | { readonly kind: "closed" }
  | {
      readonly kind: "open";
      readonly ratePerSecond: number;
      readonly arrivals: ArrivalKind;
      readonly seed: number;
    };

/** When the measured window ends: after a time, or after so many requests. */
export type Bound = { readonly durationMs: number } | { readonly requests: number };

/** One HTTP/1.1 request, or several that differ only in their generated body. */
export interface RequestSpec {
  /** Default `POST`. */
  readonly method?: string;
  readonly path: string;
  /** Added to Host, Content-Length and those that the body brings. Names as they go on the wire. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: BodySpec;
}

/**
 * A function that judges answers: `export` of the module at `module` (a path from the repository root) is called once
 * with `options` and gives a `ResponseCheck`.
 */
export interface CheckSpec {
  readonly module: string;
  readonly export: string;
  readonly options?: unknown;
}

/** An answer as a check sees it. `request` is the position in the list of prepared requests. */
export interface CheckedResponse {
  readonly request: number;
  readonly status: number;
  readonly body: Buffer;
}

/** True when the answer is right. A wrong one counts as the failure `check`. */
export type ResponseCheck = (response: CheckedResponse) => boolean;

/** The part of a run that a workload file fixes: everything but the address. */
export interface LoadPlan {
  /** `http1`: one request in flight a connection. `grpc`: calls over HTTP/2, `streamsPerConnection` in flight: unary, or streams in turns (`ext-proc`). */
  readonly protocol: "http1" | "grpc";
  readonly connections: number;
  /** gRPC only, default 1. */
  readonly streamsPerConnection?: number;
  readonly pace: Pace;
  /** Sent before the measured window and not counted. */
  readonly warmUpMs: number;
  readonly bound: Bound;
  /** Counted from the intended send time; a request past it is a failure and its connection or stream is given up. */
  readonly timeoutMs: number;
  /** Cycled through in order. */
  readonly requests: readonly RequestSpec[];
  /** When set, the result carries answers, failures and the worst latency of each interval. At most 10,000 are kept. */
  readonly seriesIntervalMs?: number;
  readonly check?: CheckSpec;
  /** HTTP/1.1 only: answers are streams whose events carry the time they were sent (`event-stamps.ts`); the result tells how long they took. */
  readonly stampedEvents?: boolean;
}

/** A whole run. */
export interface LoadSpec extends LoadPlan {
  readonly target: Target;
}

/** Requests that can be in flight at once. */
export function slotCount(plan: LoadPlan): number {
  return plan.connections * (plan.protocol === "grpc" ? (plan.streamsPerConnection ?? 1) : 1);
}

/** Throws an error naming the field and what it expects when a plan cannot be run. */
export function checkLoadPlan(plan: LoadPlan): void {
  inRange("connections", plan.connections, { min: 1, max: 4096 });
  inRange("streamsPerConnection", plan.streamsPerConnection ?? 1, { min: 1, max: 1024 });
  inRange("warmUpMs", plan.warmUpMs, { min: 0, max: 600_000 });
  inRange("timeoutMs", plan.timeoutMs, { min: 1, max: 400_000 });
  if ("durationMs" in plan.bound)
    inRange("bound.durationMs", plan.bound.durationMs, { min: 1, max: 3_600_000 });
  else inRange("bound.requests", plan.bound.requests, { min: 1, max: 1e9 });
  if (plan.pace.kind === "open")
    inRange("pace.ratePerSecond", plan.pace.ratePerSecond, { min: 0.001, max: 1e6 });
  if (plan.seriesIntervalMs !== undefined)
    inRange("seriesIntervalMs", plan.seriesIntervalMs, { min: 1, max: 600_000 });
  if (plan.requests.length === 0) throw new RangeError("requests: expected at least one, got none");
}

function inRange(name: string, value: number, range: { min: number; max: number }): void {
  if (value >= range.min && value <= range.max) return;
  throw new RangeError(`${name}: expected a number from ${range.min} to ${range.max}, got ${value}`);
}
