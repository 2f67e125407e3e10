/** Whether a request whose attempt failed is tried again: where, and after which pause. */
import type { ForwardDecision, HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { Scheduling } from "../../contracts/scheduling.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { AttemptEnd } from "./attempt-end.ts";
import type { RetryBudget } from "./retry-budget.ts";
import { mayRepeat, pauseBefore } from "./retry-rules.ts";

/** What a plan is made with. */
export interface RetryContext {
  readonly scheduling: Pick<Scheduling, "another">;
  readonly random: Random;
  readonly clock: Pick<Clock, "now">;
  readonly budget: Pick<RetryBudget, "draw">;
}

/** What was done for the request so far. */
export interface AttemptsMade {
  /** How the last attempt ended. */
  readonly end: AttemptEnd;
  /** Endpoints of failed attempts. */
  readonly tried: readonly HttpEndpoint[];
  /** Attempts after the first. */
  readonly retries: number;
}

/** The next attempt. */
export interface RetryPlan {
  readonly endpoint: HttpEndpoint;
  /** 0: at once. */
  readonly pauseMs: number;
}

/** Undefined where there is no further attempt; `exhausted` where only the budget forbids it. A plan has drawn on the budget. */
export function planRetry(
  { scheduling, random, clock, budget }: RetryContext,
  decision: ForwardDecision,
  { end, tried, retries }: AttemptsMade,
): RetryPlan | "exhausted" | undefined {
  const { route, request } = decision;
  const { retry } = route.pool;
  const now = clock.now();
  if (retries >= retry.maxRetries || now >= request.deadline || !mayRepeat(end, request.payload))
    return undefined;
  const endpoint = scheduling.another(route, tried, decision);
  if (endpoint === undefined) return undefined;
  const pauseMs = pauseBefore({ retry, end, retries, next: endpoint, tried, now }, random);
  if (pauseMs === undefined || now + pauseMs >= request.deadline) return undefined;
  // What no server has seen does not add to their load.
  if (end.sent && !budget.draw(now)) return "exhausted";
  return { endpoint, pauseMs };
}
