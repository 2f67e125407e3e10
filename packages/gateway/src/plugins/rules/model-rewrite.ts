/**
 * Puts other models in the place of those that callers name, at random by weight. Takes what the Gateway API Inference
 * Extension calls InferenceModelRewrite (llm-d.ai/v1alpha2) and InferenceModel (v1alpha2, withdrawn), by their fields.
 */
import * as z from "zod";
import type { PluginDefinition, PluginHost } from "../../contracts/plugins/plugin.ts";
import type { RoutedRequest, RoutingRule, RuleResult } from "../../contracts/plugins/rule.ts";
import type { MetricDefinition, MetricFamily, MetricValue } from "../../contracts/telemetry.ts";
import { GatewayError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";

/** The families of this module, for the reference page. */
export const modelRewriteMetrics = {
  decisions: {
    name: "spillway_model_rewrite_decisions_total",
    help: "Requests whose model a rewrite chose, by the rewrite, the model that the caller named and the one that was chosen. Names that only a rewrite of all models took are counted as *.",
    labels: ["model_rewrite_name", "model_name", "target_model"],
    aliases: [
      { name: "llm_d_epp_model_rewrite_decisions_total" },
      { name: "inference_extension_model_rewrite_decisions_total" },
    ],
  },
} as const satisfies Record<string, MetricDefinition>;

const modelName = z.string().min(1).max(256);

const mixedWeights = "either all targets have a weight or none";

function areAlike(targets: readonly { readonly weight?: number | undefined }[]): boolean {
  const weighed = targets.filter(({ weight }) => weight !== undefined).length;
  return weighed === 0 || weighed === targets.length;
}

const targetSchema = z.strictObject({
  modelRewrite: modelName,
  weight: z.int().min(0).max(1_000_000).optional(),
});

const rewriteRuleSchema = z.strictObject({
  matches: z
    .array(
      z.strictObject({
        model: z.strictObject({ type: z.literal("Exact").default("Exact"), value: modelName }).optional(),
      }),
    )
    .max(64)
    .default([]),
  targets: z.array(targetSchema).min(1).max(64).refine(areAlike, mixedWeights),
});

const rulesSchema = z.array(rewriteRuleSchema).min(1).max(1_000);

const inferenceModelSchema = z.strictObject({
  modelName,
  criticality: z.enum(["Critical", "Standard", "Sheddable"]).optional(),
  targetModels: z
    .array(z.strictObject({ name: modelName, weight: z.int().min(0).max(1_000_000).optional() }))
    .max(10)
    .refine(areAlike, mixedWeights)
    .default([]),
});

const parameters = z.lazy(() =>
  z.strictObject({
    rules: rulesSchema.optional().describe("One rewrite, called as the rule is"),
    rewrites: z
      .array(z.strictObject({ name: z.string().min(1).max(253), rules: rulesSchema }))
      .max(1_000)
      .default([])
      .describe("Several, the oldest first"),
    models: z.array(inferenceModelSchema).max(1_000).default([]).describe("InferenceModels"),
    priorities: z
      .strictObject({
        Critical: z.int().min(0).default(10),
        Standard: z.int().min(0).default(0),
        Sheddable: z.int().max(-1).default(-10),
      })
      .prefault({})
      .describe("What criticalities mean"),
  }),
);

/** Parameters of `model-rewrite`. */
export type ModelRewriteParameters = z.output<typeof parameters>;

/** What becomes of requests for one model. */
interface Rewrite {
  readonly name: string;
  readonly targets: readonly { readonly model: string; readonly weight: number }[];
  /** Of the weights; 0: all alike. */
  readonly total: number;
  readonly priority: number | undefined;
  readonly counters: (MetricValue | undefined)[];
}

type Target = { readonly model: string; readonly weight: number | undefined };

class ModelRewrite implements RoutingRule {
  readonly onFailure = "closed";
  readonly timeoutMs = 1_000;
  readonly #exact = new Map<string, Rewrite>();
  readonly #others: Rewrite | undefined;
  readonly #random: Random;
  readonly #decisions: MetricFamily<MetricValue>;

  constructor({ rules, rewrites, models, priorities }: ModelRewriteParameters, host: PluginHost) {
    this.#random = host.random;
    this.#decisions = host.metrics.counter(modelRewriteMetrics.decisions);
    const resources = [...rewrites, ...(rules === undefined ? [] : [{ name: host.name, rules }])];
    let others: Rewrite | undefined;
    for (const resource of resources) {
      for (const { matches, targets } of resource.rules) {
        const listed = targets.map(({ modelRewrite, weight }) => ({ model: modelRewrite, weight }));
        const rewrite = rewriteOf(resource.name, listed, undefined);
        const names = matches.flatMap(({ model }) => (model === undefined ? [] : [model.value]));
        if (names.length < matches.length || matches.length === 0) others ??= rewrite;
        for (const name of names) if (!this.#exact.has(name)) this.#exact.set(name, rewrite);
      }
    }
    for (const { modelName: name, criticality, targetModels } of models) {
      if (this.#exact.has(name)) throw new GatewayError("bad_request", `models: ${name} stands there twice`);
      const targets = targetModels.map((target) => ({ model: target.name, weight: target.weight }));
      const priority = criticality === undefined ? undefined : priorities[criticality];
      this.#exact.set(name, rewriteOf(host.name, targets, priority));
    }
    this.#others = others;
  }

  applies({ model }: RoutedRequest): boolean {
    return this.#others !== undefined || this.#exact.has(model);
  }

  apply({ model }: RoutedRequest): RuleResult {
    const exact = this.#exact.get(model);
    const rewrite = exact ?? this.#others;
    if (rewrite === undefined) return {};
    const { priority, targets, total } = rewrite;
    const urgent = priority === undefined ? {} : { priority };
    const index = pick(rewrite, this.#random.unit());
    const target = targets[index];
    if (target === undefined) return urgent;
    const counter = (rewrite.counters[index] ??= this.#decisions.with(
      rewrite.name,
      exact === undefined ? "*" : model,
      target.model,
    ));
    counter.value++;
    const share = targets.length === 1 ? "" : shareOf(target.weight, total, targets.length);
    return { ...urgent, model: target.model, note: `${share}${model} → ${target.model}` };
  }
}

function shareOf(weight: number, total: number, count: number): string {
  return total === 0 ? `1 of ${count}: ` : `${weight} of ${total}: `;
}

function rewriteOf(name: string, targets: readonly Target[], priority: number | undefined): Rewrite {
  return {
    name,
    targets: targets.map(({ model, weight = 0 }) => ({ model, weight })),
    total: targets.reduce((sum, { weight = 0 }) => sum + weight, 0),
    priority,
    counters: [],
  };
}

/** Index of a target. */
function pick({ targets, total }: Rewrite, unit: number): number {
  if (total === 0) return Math.floor(unit * targets.length);
  let point = unit * total;
  for (const [index, { weight }] of targets.entries()) {
    point -= weight;
    if (point < 0) return index;
  }
  return targets.length - 1;
}

/** The definition. */
export const modelRewrite: PluginDefinition<RoutingRule, ModelRewriteParameters> = {
  type: "model-rewrite",
  kinds: ["rule"],
  summary: "Asks for other models than callers name, at random by weight",
  parameters,
  create: (given, host) => new ModelRewrite(given, host),
};
