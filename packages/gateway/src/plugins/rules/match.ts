/** Sends requests to pools and models, and gives them priorities, by what they say: headers, model, prompt, caller. */
import * as z from "zod";
import type { PluginDefinition } from "../../contracts/plugins/plugin.ts";
import type { RoutedRequest, RoutingRule, RuleResult } from "../../contracts/plugins/rule.ts";
import { failure, isFailure } from "../../core/errors.ts";
import type { Operation } from "../../core/forward.ts";
import { headerValue, type HeaderMap } from "../../core/headers.ts";

const headerName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/)
  .transform((name) => name.toLowerCase());

const headerSchema = z.union([
  z.string().max(4_096),
  z.strictObject({ prefix: z.string().min(1).max(4_096) }),
  z.strictObject({ present: z.boolean() }),
]);

const conditionSchema = z.strictObject({
  headers: z
    .record(headerName, headerSchema)
    .default({})
    .describe("Each has to hold. A text: the header's first value is this"),
  model: z.string().min(1).max(256).optional().describe("A name, or the beginning of one and `*`"),
  promptPrefix: z
    .string()
    .min(1)
    .max(16_384)
    .optional()
    .describe("What the prompt begins with: its instructions, or where there are none its first message"),
  messagePrefix: z
    .string()
    .min(1)
    .max(16_384)
    .optional()
    .describe("What the caller's last message begins with"),
  callers: z.array(z.string().min(1).max(64)).min(1).max(10_000).optional().describe("Ids of callers' keys"),
  operations: z.array(z.string().min(1)).min(1).max(16).optional(),
});

const actionSchema = z.strictObject({
  model: z.string().min(1).max(256).optional(),
  pool: z.string().min(1).max(128).optional(),
  priority: z.int().min(-1_000_000).max(1_000_000).optional(),
  fairnessId: z.string().min(1).max(256).optional(),
  deny: z.string().min(1).max(1_024).optional().describe("The request is refused with 403 and this text"),
});

const parameters = z.lazy(() =>
  z.strictObject({
    cases: z
      .array(z.strictObject({ when: conditionSchema.prefault({}), do: actionSchema }))
      .min(1)
      .max(1_000)
      .describe("The first whose conditions all hold counts"),
  }),
);

/** Parameters of `match`. */
export type MatchParameters = z.output<typeof parameters>;

type Condition = z.output<typeof conditionSchema>;
type HeaderCondition = z.output<typeof headerSchema>;

class Match implements RoutingRule {
  readonly onFailure = "closed";
  readonly timeoutMs = 1_000;
  readonly #cases: MatchParameters["cases"];

  constructor({ cases }: MatchParameters) {
    this.#cases = cases;
  }

  applies(): boolean {
    return true;
  }

  apply(request: RoutedRequest): RuleResult {
    for (const [index, { when, do: action }] of this.#cases.entries()) {
      if (!holds(when, request)) continue;
      const { deny, model, pool, priority, fairnessId } = action;
      const note = `case ${index + 1}`;
      if (deny !== undefined) return { refusal: failure("denied", deny), note };
      return {
        ...(model === undefined ? {} : { model }),
        ...(pool === undefined ? {} : { pool }),
        ...(priority === undefined ? {} : { priority }),
        ...(fairnessId === undefined ? {} : { fairnessId }),
        note,
      };
    }
    return {};
  }
}

function holds(when: Condition, request: RoutedRequest): boolean {
  const { headers, model, callers, operations } = when;
  for (const name in headers) {
    const condition = headers[name];
    if (condition !== undefined && !headerHolds(condition, request.headers, name)) return false;
  }
  if (model !== undefined && !isNamed(model, request.model)) return false;
  if (callers !== undefined && !callers.includes(request.callerId)) return false;
  if (operations !== undefined && !operations.includes(request.operation satisfies Operation)) return false;
  return promptHolds(when, request);
}

function headerHolds(condition: HeaderCondition, headers: HeaderMap, name: string): boolean {
  const value = headerValue(headers, name);
  if (typeof condition === "string") return value === condition;
  if ("present" in condition) return (value !== undefined) === condition.present;
  return value?.startsWith(condition.prefix) === true;
}

function isNamed(pattern: string, model: string): boolean {
  return pattern.endsWith("*") ? model.startsWith(pattern.slice(0, -1)) : model === pattern;
}

/** Of a text so many bytes are read as its beginning can have: an escaped character has up to six a code unit. */
function promptHolds({ promptPrefix, messagePrefix }: Condition, { prompt }: RoutedRequest): boolean {
  if (promptPrefix === undefined && messagePrefix === undefined) return true;
  if (prompt === undefined || isFailure(prompt)) return false;
  if (promptPrefix !== undefined) {
    const [first] = prompt.texts(promptPrefix.length * 6).texts ?? [];
    if (first?.text.startsWith(promptPrefix) !== true) return false;
  }
  if (messagePrefix === undefined) return true;
  return prompt.lastUserText(messagePrefix.length * 6)?.text.startsWith(messagePrefix) === true;
}

/** The definition. */
export const match: PluginDefinition<RoutingRule, MatchParameters> = {
  type: "match",
  kinds: ["rule"],
  summary: "Chooses pool, model, priority and fairness id by headers, model, prompt and caller",
  parameters,
  needsOf: ({ cases }) => {
    const prompt = cases.some(
      ({ when }) => when.promptPrefix !== undefined || when.messagePrefix !== undefined,
    );
    // A model that headers name is taken at their word, which must not get anybody around a rule.
    const model = cases.some(({ when, do: action }) => (when.model ?? action.model) !== undefined);
    return { prompt, body: prompt || model };
  },
  create: (given) => new Match(given),
};
