/** `escalate` of a route: when its requests go to another place than its targets. */
import * as z from "zod";
import type { EscalateOptions, ModelEscalationRule } from "../contracts/escalation.ts";
import { parseDuration, parseSize } from "./units.ts";
import {
  choice,
  duration,
  falseOr,
  headerName,
  name,
  pooledModel,
  share,
  size,
  whole,
  yesNo,
} from "./values.ts";

const toSchema = z.strictObject({
  pool: name.describe("Name of the pool"),
  model: pooledModel.optional().describe("Name of the model there. Default: the route's"),
});

const placeReasons = {
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
};

const whenSchema = z.strictObject({
  ...placeReasons,
  confidence: share(1)
    .optional()
    .describe(
      "The answer's confidence is below this: exp of the mean log-probability of its tokens, which OpenAI-compatible servers and Ollama from 0.12 tell. Absent: no reason",
    ),
  margin: share(1)
    .optional()
    .describe(
      "The mean distance between the probability of the likeliest token and that of the next is below this. Absent: no reason",
    ),
  schema: yesNo
    .default(false)
    .describe("The caller asked for JSON, or for JSON that fits a schema, and the answer is something else"),
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
  holdback: choice("none", "answer")
    .default("none")
    .describe(
      "Which answers `confidence`, `margin` and `schema` are about. `none`: those that are not streamed. `answer`: streams too, which are held back until their end",
    ),
  maxHeld: size("64KiB", "16MiB")
    .default("1MiB")
    .describe("Most of an answer that is held back; a longer one is given as it is"),
  budget: budgetSchema.prefault({}).describe("How many requests go there; more stay with the targets"),
  privacy: privacySchema.prefault({}).describe("Requests that never go there"),
});

/** What is told with defaults, for the engine. `model`: the route's. */
export function compileEscalate(
  { to, when, holdback, maxHeld, budget, privacy }: z.output<typeof escalateSchema>,
  model: string,
): EscalateOptions {
  const { overload, offline, asked, confidence, margin, schema } = when;
  return {
    to: { pool: to.pool, model: to.model ?? model },
    when: {
      overloadAfterMs: overload === false ? undefined : parseDuration(overload),
      offline,
      asked,
      confidence,
      margin,
      schema,
    },
    holdback,
    maxHeldBytes: parseSize(maxHeld) ?? 0,
    budget: { perMinute: budget.perMinute, perMonth: budget.perMonth },
    privacy: { header: privacy.header.toLowerCase(), value: privacy.value },
  };
}

/** Another model for requests with tensors for one model. */
export const escalateModelSchema = z.strictObject({
  model: name.describe("The model that is asked first"),
  to: name.describe("The other model: of the repository, or of a pool"),
  when: z
    .strictObject({
      ...placeReasons,
      confidence: share(1)
        .optional()
        .describe("The confidence of its class is below this, of any row. Absent: no reason"),
      margin: share(1)
        .optional()
        .describe("The distance between its two highest scores is below this, of any row. Absent: no reason"),
    })
    .prefault({})
    .describe("Reasons to go there"),
  budget: budgetSchema.prefault({}).describe("How many requests go there; more stay with the first"),
  privacy: privacySchema.prefault({}).describe("Requests that never go there"),
});

/** As the engine takes it. */
export function compileModelEscalation({
  model,
  to,
  ...rest
}: z.output<typeof escalateModelSchema>): ModelEscalationRule {
  const when = { ...rest.when, schema: false };
  const target = { to: { pool: "", model: to }, holdback: "none", maxHeld: "64KiB" } as const;
  const compiled = compileEscalate({ ...rest, ...target, when }, to);
  return { route: model, to, when: compiled.when, budget: compiled.budget, privacy: compiled.privacy };
}
