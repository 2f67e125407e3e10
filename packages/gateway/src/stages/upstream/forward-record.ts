/** What is known of a forwarded request once it has ended. */
import type { ForwardRoute } from "../../contracts/http-endpoint.ts";
import type { LogFields } from "../../contracts/telemetry.ts";
import type { ForwardPayload, TokenUsage } from "../../core/forward.ts";
import type { Outcome } from "../../core/outcome.ts";
import type { InferenceRequest } from "../../core/request.ts";

/** One request, for logs and accounts. */
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
}

/** The record as a log line: who asked whom for what, how it ended, where the time went and what was used. Never what was said. */
export function recordFields(record: ForwardRecord): LogFields {
  const { request, route, endpoint, outcome, attempts, queueMs, durationMs, firstTokenMs, usage } = record;
  const { dialect, operation, stream } = request.payload;
  return {
    requestId: request.id,
    caller: request.caller.id,
    dialect,
    operation,
    stream,
    model: request.model,
    pool: route.pool.name,
    endpoint,
    outcome,
    attempts,
    queueMs,
    durationMs,
    firstTokenMs,
    promptTokens: usage?.promptTokens,
    cachedTokens: usage?.cachedTokens,
    completionTokens: usage?.completionTokens,
    estimated: usage?.estimated,
  };
}
