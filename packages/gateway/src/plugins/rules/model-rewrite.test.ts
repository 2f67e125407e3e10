import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRule, routed, type RuleSetup } from "../../../test/support/rule-fixture.ts";
import type { RuleResult } from "../../contracts/plugins/rule.ts";
import { createMetrics } from "../../telemetry/index.ts";
import { modelRewrite } from "./model-rewrite.ts";

const exact = (value: string): object => ({ model: { type: "Exact", value } });

function ask(parameters: object, model: string, setup: RuleSetup = {}): RuleResult {
  const rule = makeRule(modelRewrite, parameters, setup);
  const request = routed({ model });
  return rule.applies(request) ? (rule.apply(request) as RuleResult) : {};
}

test("exact matches go before those of all models, then the older rewrite, then its first rule", () => {
  const rewrites = [
    {
      name: "old",
      rules: [
        { targets: [{ modelRewrite: "anything" }] },
        { matches: [exact("a"), exact("b")], targets: [{ modelRewrite: "old-a" }] },
        { matches: [exact("a")], targets: [{ modelRewrite: "second" }] },
      ],
    },
    {
      name: "new",
      rules: [
        { matches: [exact("a")], targets: [{ modelRewrite: "new-a" }] },
        { matches: [exact("c")], targets: [{ modelRewrite: "new-c" }] },
        { matches: [{}], targets: [{ modelRewrite: "too late" }] },
      ],
    },
  ];
  const models = ["a", "b", "c", "d"].map((model) => ask({ rewrites }, model).model);
  assert.deepEqual(models, ["old-a", "old-a", "new-c", "anything"]);
});

test("targets share by weight; without weights, or with none above 0, alike", () => {
  const split = (
    weights: readonly (number | undefined)[],
    units: readonly number[],
  ): (string | undefined)[] => {
    const targets = weights.map((weight, index) => ({
      modelRewrite: `t${index}`,
      ...(weight === undefined ? {} : { weight }),
    }));
    return units.map((unit) => ask({ rules: [{ targets }] }, "m", { units: [unit] }).model);
  };
  assert.deepEqual(split([9, 1], [0, 0.89, 0.91, 0.999]), ["t0", "t0", "t1", "t1"]);
  assert.deepEqual(split([undefined, undefined], [0, 0.49, 0.5, 0.99]), ["t0", "t0", "t1", "t1"]);
  assert.deepEqual(split([0, 0], [0, 0.49, 0.5, 0.99]), ["t0", "t0", "t1", "t1"]);
  assert.deepEqual(split([0, 5], [0, 0.5]), ["t1", "t1"]);
  assert.throws(() => split([1, undefined], [0]), /either all targets have a weight or none/);
});

test("what is not matched goes as it is, and costs no decision", () => {
  const rule = makeRule(modelRewrite, {
    rules: [{ matches: [exact("a")], targets: [{ modelRewrite: "b" }] }],
  });
  assert.equal(rule.applies(routed({ model: "x" })), false);
});

test("decisions are counted by rewrite, model and target, and told", () => {
  const metrics = createMetrics();
  const rewrites = [
    {
      name: "canary",
      rules: [
        {
          matches: [exact("a")],
          targets: [
            { modelRewrite: "b", weight: 1 },
            { modelRewrite: "c", weight: 3 },
          ],
        },
        { targets: [{ modelRewrite: "d" }] },
      ],
    },
  ];
  const rule = makeRule(modelRewrite, { rewrites }, { metrics, units: [0.1, 0.9] });
  assert.equal((rule.apply(routed({ model: "a" })) as RuleResult).note, "1 of 4: a → b");
  void rule.apply(routed({ model: "a" }));
  void rule.apply(routed({ model: "someone's idea" }));
  const text = metrics.render();
  for (const [model, target] of [
    ["a", "b"],
    ["a", "c"],
    ["*", "d"],
  ] as const) {
    const labels = `{model_rewrite_name="canary",model_name="${model}",target_model="${target}"} 1`;
    assert.ok(text.includes(`spillway_model_rewrite_decisions_total${labels}`), text);
    assert.ok(text.includes(`llm_d_epp_model_rewrite_decisions_total${labels}`), text);
  }
});

test("an InferenceModel gives targets, and a priority by its criticality", () => {
  const models = [
    { modelName: "chat", criticality: "Critical", targetModels: [{ name: "chat-v2", weight: 100 }] },
    { modelName: "batch", criticality: "Sheddable" },
    { modelName: "plain" },
  ];
  const { note: _, ...chat } = ask({ models }, "chat");
  assert.deepEqual(chat, { model: "chat-v2", priority: 10 });
  assert.deepEqual(ask({ models }, "batch"), { priority: -10 });
  assert.deepEqual(ask({ models }, "plain"), {});
  assert.deepEqual(ask({ models, priorities: { Sheddable: -1 } }, "batch"), { priority: -1 });
  assert.throws(() => ask({ models: [...models, { modelName: "chat" }] }, "chat"), /chat stands there twice/);
});

test("what a rewrite does not take is refused", () => {
  for (const parameters of [
    { rules: [] },
    { rules: [{ targets: [] }] },
    { rules: [{ matches: [{ model: { type: "Prefix", value: "a" } }], targets: [{ modelRewrite: "b" }] }] },
    { rules: [{ targets: [{ modelRewrite: "b", weight: -1 }] }] },
    { rule: [] },
  ]) {
    assert.equal(modelRewrite.parameters.safeParse(parameters).success, false, JSON.stringify(parameters));
  }
});
