/** `requests` and `rules` of `spillway.yaml`: what requests may say of themselves, and what they pass before they are routed. */
import * as z from "zod";
import type { TraitsOptions } from "../contracts/options.ts";
import type { RuleSpec } from "../contracts/plugins/rule.ts";
import { parseDuration } from "./units.ts";
import { choice, duration, headerName, modelPattern, name, whole, wordOr } from "./values.ts";

const objectiveName = z
  .string()
  .min(1)
  .max(253)
  .describe("The objective's name, as `x-llm-d-inference-objective` says it");

/** What headers may say. */
export const requestsSchema = z.strictObject({
  objectives: z
    .record(objectiveName, whole(-1_000_000, 1_000_000))
    .default({})
    .describe(
      "Priorities by the name that a request gives in `x-llm-d-inference-objective`. Higher goes first, 0 is normal, below 0 may be shed; other names give 0",
    ),
  fairness: choice("header", "caller")
    .default("header")
    .describe(
      "Whose a request is that has no `x-llm-d-inference-fairness-id`: `header`: all such share one flow, `default-flow`; `caller`: each key has its own",
    ),
  trust: wordOr("everyone", "a list of key ids", z.array(name).max(10_000))
    .default([])
    .describe(
      "Keys that may name a fairness id, and objectives above 0, beside those with the scope `admin` and callers on this machine without keys. `everyone`: whoever may call",
    ),
  session: z
    .strictObject({
      headers: z
        .array(headerName)
        .max(8)
        .default(["x-session-token", "x-session-id"])
        .describe("Headers that name the session; the first that is there counts"),
      cookie: z
        .string()
        .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/)
        .optional()
        .describe("Cookie that names it where no header does. Absent: none"),
    })
    .prefault({})
    .describe("Where a request names the session that it belongs to"),
});

/** One rule. */
export const ruleSchema = z.strictObject({
  type: z.string().min(1).max(128).describe("What kind of rule"),
  name: name.optional().describe("What it is called in decisions, metrics and headers. Default: its type"),
  models: z
    .array(modelPattern)
    .min(1)
    .max(1_000)
    .optional()
    .describe(
      "Only for requests that name these: names, or beginnings of names that end in `*`. Absent: all",
    ),
  onFailure: choice("open", "closed")
    .optional()
    .describe(
      "When it fails or is late: `open`: the request goes on as it is; `closed`: it is refused with 503. Default: the type's",
    ),
  timeout: duration("1ms", "5m")
    .optional()
    .describe("How long it may take for one request. Default: the type's"),
  parameters: z
    .record(z.string(), z.unknown())
    .default({})
    .describe("What the type takes; see the guide of routing rules"),
});

/** As the engine takes it. */
export function compileRequests({
  objectives,
  fairness,
  trust,
  session,
}: z.output<typeof requestsSchema>): TraitsOptions {
  return {
    objectives: new Map(Object.entries(objectives)),
    fairness,
    trust: trust === "everyone" ? trust : new Set(trust),
    session: { headers: session.headers.map((header) => header.toLowerCase()), cookie: session.cookie },
  };
}

/** As the engine takes it. */
export function compileRule({
  type,
  name: called,
  models,
  onFailure,
  timeout,
  parameters,
}: z.output<typeof ruleSchema>): RuleSpec {
  const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout);
  return { plugin: { name: called ?? type, type, parameters }, models, onFailure, timeoutMs };
}
