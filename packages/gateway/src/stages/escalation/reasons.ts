/** Which failures of a place are reasons to ask another. */
import type { EscalateWhen } from "../../contracts/escalation.ts";
import type { ForwardRoute } from "../../contracts/http-endpoint.ts";
import { errorTable, type Failure } from "../../core/errors.ts";
import type { PoolEscalationReason } from "../../core/pool-escalation.ts";

/** Undefined for what the caller did, for what has nothing to do with the servers, and for reasons that do not count here. */
export function reasonOfFailure(
  { code }: Failure,
  { pool, model, escalate }: ForwardRoute,
): PoolEscalationReason | undefined {
  switch (code) {
    case "queue_full":
    case "queue_timeout":
    case "saturated":
    case "wait_expired":
    case "evicted":
      return counting(escalate?.when, "overload");
    case "no_endpoints":
      return counting(escalate?.when, "offline");
    case "model_unavailable": {
      const isBusy = pool.endpointsFor(model).some(({ pausedUntil }) => pausedUntil !== undefined);
      return counting(escalate?.when, isBusy ? "overload" : "offline");
    }
    default:
      return errorTable[code].source === "upstream" ? counting(escalate?.when, "offline") : undefined;
  }
}

/** Of a model that answers tensors. */
export function reasonOfModelFailure(
  { code }: Failure,
  when: EscalateWhen,
): PoolEscalationReason | undefined {
  if (code === "queue_full" || code === "queue_timeout") return counting(when, "overload");
  const isAway = code === "model_not_found" || errorTable[code].source === "upstream";
  return isAway ? counting(when, "offline") : undefined;
}

/** Of a server's own refusal, or of an answer that ends in an error (2xx). */
export function reasonOfStatus(
  status: number,
  when: EscalateWhen | undefined,
): PoolEscalationReason | undefined {
  if (status === 429 || status === 503) return counting(when, "overload");
  return status >= 500 || status < 400 ? counting(when, "offline") : undefined;
}

function counting(
  when: EscalateWhen | undefined,
  reason: "overload" | "offline",
): PoolEscalationReason | undefined {
  if (when === undefined) return undefined;
  const counts = reason === "offline" ? when.offline : when.overloadAfterMs !== undefined;
  return counts ? reason : undefined;
}
