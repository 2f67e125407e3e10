/** `escalate` of a route: when its requests go to another place than its targets. */
import * as z from "zod";
import type { EscalateOptions } from "../contracts/escalation.ts";
import { duration, falseOr, headerName, name, pooledModel, whole, yesNo } from "./values.ts";
import { parseDuration } from "./units.ts";

const toSchema = z.strictObject({
  pool: name.describe("Name of the pool"),
  model: pooledModel.optional().describe("Name of the model there. Default: the route's"),
});

const whenSchema = z.strictObject({
  overload: falseOr("a duration", duration("1ms", "1h"))
    .default("2s")
    .describe(
      "The line of the targets is full, a request has waited in it for this long, or the servers say that they are busy. `false`: it waits",
    ),
  offline: yesNo.default(true).describe("No server of the targets can answer"),
  asked: yesNo
    .default(false)
    .describe(
      "The caller sends `x-spillway-escalate: always`: `true` lets every caller, `false` only those with the scope `admin`",
    ),
});

const budgetSchema = z.strictObject({
  perMinute: whole(0, 1_000_000_000).optional().describe("In a minute. Absent: no limit"),
  perMonth: whole(0, 1_000_000_000)
    .optional()
    .describe("In a calendar month, UTC. Counted in memory: a restart begins anew. Absent: no limit"),
});

const privacySchema = z.strictObject({
  header: headerName
    .default("x-spillway-privacy")
    .describe("Header of requests that are never answered elsewhere"),
  value: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe("Only those where it has this among its values. Absent: whatever it says"),
});

/** Another place for requests of a route. */
export const escalateSchema = z.strictObject({
  to: toSchema.describe("The other place"),
  when: whenSchema.prefault({}).describe("Reasons to go there"),
  budget: budgetSchema.prefault({}).describe("How many requests go there; more stay with the targets"),
  privacy: privacySchema.prefault({}).describe("Requests that never go there"),
});

/** What is told with defaults, for the engine. `model`: the route's. */
export function compileEscalate(
  { to, when, budget, privacy }: z.output<typeof escalateSchema>,
  model: string,
): EscalateOptions {
  const { overload, offline, asked } = when;
  return {
    to: { pool: to.pool, model: to.model ?? model },
    when: {
      overloadAfterMs: overload === false ? undefined : parseDuration(overload),
      offline,
      asked,
    },
    budget: { perMinute: budget.perMinute, perMonth: budget.perMonth },
    privacy: { header: privacy.header.toLowerCase(), value: privacy.value },
  };
}
