/** Why requests of a route go to its second place, and how that ends. Closed unions: the values are metric labels. */

/** Why a request goes to the place that its route escalates to. */
const poolEscalationReasons = [
  /** The caller asks for it. */
  "asked",
  /** The line is full or too long, or the servers say that they are busy. */
  "overload",
  /** No server of the pool can answer. */
  "offline",
  /** The tokens of the answer were less likely than the route wishes. */
  "confidence",
  /** Other tokens were nearly as likely as those of the answer. */
  "margin",
  /** The answer is not what the caller asked for: no JSON, or JSON that does not fit the schema. */
  "schema",
] as const;

/** One of `poolEscalationReasons`. */
export type PoolEscalationReason = (typeof poolEscalationReasons)[number];

/** Why a request that would have been escalated was not, or was answered here all the same. */
const poolWithheldReasons = [
  /** Its privacy tag keeps it here. */
  "privacy",
  /** As many as are allowed have been escalated. */
  "budget",
  /** The caller asks for it to stay here. */
  "caller",
  /** The other place failed. */
  "cloud_failed",
] as const;

/** One of `poolWithheldReasons`. */
export type PoolWithheldReason = (typeof poolWithheldReasons)[number];

/**
 * How an escalation ended.
 * - `answered`: the other place's answer was given.
 * - `kept`: the other place failed, and the answer of this one was given.
 * - `failed`: neither has an answer.
 * - `withheld`: it was not made; `PoolWithheldReason` says why.
 * - `client_gone`: the caller left before.
 */
export type PoolEscalationOutcome = "answered" | "kept" | "failed" | "withheld" | "client_gone";
