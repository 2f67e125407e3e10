/** `/admin/decisions/{id}`: what became of a request, for operators. */
import type { EscalationStory } from "../contracts/escalation.ts";
import {
  noExplanations,
  type ExplainedCycle,
  type ExplainedProfile,
  type Explanations,
} from "../contracts/explanation.ts";
import type { RequestRecord, RequestRecords } from "../contracts/request-record.ts";
import { writePlainFailure } from "../contracts/plain-failure.ts";
import { wireAnswer, type Route } from "../contracts/route.ts";
import { failure } from "../core/errors.ts";
import type { TokenUsage } from "../core/forward.ts";
import type { RuleTrace } from "../core/rule-trace.ts";

/**
 * Answers for the last requests that HTTP servers were asked for, by the id in their answer's `x-request-id`.
 * `explanations` are of pools with scheduling of their own; a request that is still under way has nothing else to tell.
 */
export function createDecisionRoute(
  records: Pick<RequestRecords, "find">,
  explanations: Explanations = noExplanations,
): Route {
  return {
    method: "GET",
    path: "/admin/decisions/{id}",
    scope: "admin",
    body: "none",
    writeFailure: writePlainFailure,
    handle({ params }) {
      const id = params["id"] ?? "";
      const record = records.find(id);
      const cycles = explanations.cyclesOf(id);
      if (record === undefined && cycles.length === 0) {
        return failure(
          "not_found",
          "No request of this id is known; only the last ones that have ended or were scheduled are kept",
        );
      }
      const body = Buffer.from(
        `${JSON.stringify({
          ...(record === undefined ? { id, outcome: null } : told(record)),
          ...(cycles.length === 0 ? {} : { scheduling: cycles.map(toldCycle) }),
        })}\n`,
      );
      return wireAnswer(200, "application/json", [body], [["cache-control", "no-store"]]);
    },
  };
}

function told({ usage, ...record }: RequestRecord): object {
  return {
    id: record.id,
    caller: record.caller,
    model: record.model,
    pool: record.pool,
    endpoint: record.endpoint,
    outcome: record.outcome,
    attempts: record.attempts,
    queue_ms: micros(record.queueMs),
    first_token_ms: record.firstTokenMs === undefined ? null : micros(record.firstTokenMs),
    duration_ms: micros(record.durationMs),
    usage: toldUsage(usage),
    ...(record.rules === undefined ? {} : { rules: record.rules.map(toldRule) }),
    ...(record.escalation === undefined ? {} : { escalation: toldEscalation(record.escalation) }),
  };
}

/** Milliseconds to the microsecond: the clock knows no more. */
function micros(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

function toldRule({ rule, result, tookMs, note }: RuleTrace): object {
  return { rule, result, took_ms: tookMs, note: note ?? null };
}

/** A scheduling cycle as the admin API tells it. */
export function toldCycle({ pool, model, at, chosen, profiles }: ExplainedCycle): object {
  return {
    at: new Date(at).toISOString(),
    pool,
    model,
    chosen,
    profiles: profiles.map(toldProfile),
  };
}

function toldProfile({ profile, scorers, picked, margin, endpoints }: ExplainedProfile): object {
  return {
    profile,
    scorers,
    picked,
    margin: margin ?? null,
    endpoints: endpoints.map(({ endpoint, filteredBy, total, scores, ...facts }) => ({
      endpoint,
      filtered_by: filteredBy ?? null,
      total: total ?? null,
      scores,
      waiting: facts.waiting ?? null,
      running: facts.running ?? null,
      kv_usage: facts.kvUsage ?? null,
      under_way: facts.underWay,
    })),
  };
}

function toldEscalation({ reason, withheld, outcome, legs }: EscalationStory): object {
  return {
    reason: reason ?? null,
    withheld: withheld ?? null,
    outcome: outcome ?? null,
    asked: legs.map(({ durationMs, usage, ...leg }) => ({
      ...leg,
      duration_ms: durationMs,
      usage: toldUsage(usage),
    })),
  };
}

function toldUsage(usage: TokenUsage | undefined): object | null {
  if (usage === undefined) return null;
  return {
    prompt_tokens: usage.promptTokens,
    cached_tokens: usage.cachedTokens,
    completion_tokens: usage.completionTokens,
    estimated: usage.estimated,
  };
}
