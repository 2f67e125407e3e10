/** Records of forwarded requests as the log tells them. */
import type { ForwardRecord } from "../../contracts/request-record.ts";
import type { LogFields } from "../../contracts/telemetry.ts";

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
