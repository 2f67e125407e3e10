/** Gives the model instructions beside the caller's, or instead of them. */
import * as z from "zod";
import type { PluginDefinition } from "../../contracts/plugins/plugin.ts";
import type { RoutedRequest, RoutingRule, RuleResult } from "../../contracts/plugins/rule.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { PromptEdit } from "../../core/forward.ts";
import { instructedOperations } from "./prompt-operations.ts";

const parameters = z.lazy(() =>
  z.strictObject({
    text: z.string().min(1).max(262_144),
    place: z
      .enum(["before", "after", "replace"])
      .default("before")
      .describe("Before or behind what the caller says, or instead of it"),
  }),
);

/** Parameters of `system-prompt`. */
export type SystemPromptParameters = z.output<typeof parameters>;

class SystemPrompt implements RoutingRule {
  readonly onFailure = "closed";
  readonly timeoutMs = 1_000;
  readonly #edit: PromptEdit;
  readonly #note: string;

  constructor(system: SystemPromptParameters) {
    this.#edit = { system };
    this.#note = `${system.text.length} characters, ${system.place}`;
  }

  applies({ operation, payload }: RoutedRequest): boolean {
    return instructedOperations.has(operation) && payload.edited !== undefined;
  }

  apply({ payload, prompt }: RoutedRequest): RuleResult | Failure {
    if (prompt !== undefined && isFailure(prompt)) return prompt;
    const edited = payload.edited?.(this.#edit);
    if (edited === undefined || edited === payload) return {};
    return isFailure(edited) ? edited : { payload: edited, note: this.#note };
  }
}

/** The definition. */
export const systemPrompt: PluginDefinition<RoutingRule, SystemPromptParameters> = {
  type: "system-prompt",
  kinds: ["rule"],
  summary: "Puts instructions for the model before, behind or in the place of the caller's",
  parameters,
  needs: { prompt: true },
  create: (given) => new SystemPrompt(given),
};
