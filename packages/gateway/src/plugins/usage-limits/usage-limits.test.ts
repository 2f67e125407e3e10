import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { flowSpec, wireFlow } from "../../../test/support/flow-fixture.ts";
import type { UsageLimitPolicy } from "../../contracts/plugins/flow.ts";
import type { ScarcityRegime } from "../../contracts/scarcity.ts";

function make(type: string, parameters: Record<string, unknown> = {}): UsageLimitPolicy {
  return wireFlow(flowSpec({ plugins: [{ name: "limit", type, parameters }], usageLimit: "limit" }))
    .usageLimit.plugin;
}

function ceilings(
  policy: UsageLimitPolicy,
  saturation: number,
  priorities: readonly number[],
  regime: ScarcityRegime = "plenty",
): number[] {
  const into = new Float64Array(priorities.length);
  policy.ceilings(saturation, priorities, into, regime);
  return [...into].map((each) => Math.round(each * 1_000) / 1_000);
}

describe("usage limits", () => {
  it("static: one threshold", () => {
    assert.deepEqual(ceilings(make("static-usage-limit-policy"), 0.5, [1, 0, -1]), [1, 1, 1]);
    assert.deepEqual(
      ceilings(make("static-usage-limit-policy", { threshold: 0.8 }), 0.5, [1, 0]),
      [0.8, 0.8],
    );
  });

  it("holdback: from the highest to the lowest by rank or by value; one priority has the highest", () => {
    const byRank = make("priority-holdback-policy", { minCeiling: 0.5 });
    assert.deepEqual(ceilings(byRank, 0, [100, 0, -10]), [1, 0.75, 0.5]);
    assert.deepEqual(ceilings(byRank, 0, [7]), [1]);
    const byValue = make("priority-holdback-policy", { minCeiling: 0.5, maxCeiling: 0.9, domain: "value" });
    assert.deepEqual(ceilings(byValue, 0, [100, 80, 0]), [0.9, 0.82, 0.5]);
    assert.throws(() => make("priority-holdback-policy"), /minCeiling/);
    assert.throws(() => make("priority-holdback-policy", { minCeiling: 2 }), /minCeiling/);
  });

  it("soft: lower priorities go ever more seldom, all of them in the same decisions, the highest always", () => {
    const policy = make("soft-reflective-ceiling-policy");
    assert.deepEqual(ceilings(policy, 0.3, [2, 1, 0]), [1, 1, 1]);
    const open = [0, 0, 0];
    for (let n = 0; n < 100; n++) {
      for (const [index, ceiling] of ceilings(policy, 0.8, [2, 1, 0]).entries())
        open[index] = (open[index] ?? 0) + ceiling;
    }
    assert.deepEqual(open, [100, 25, 25]);
    assert.deepEqual(ceilings(policy, 1.2, [2, 1, 0]), [1, 0, 0]);
    assert.deepEqual(ceilings(policy, 0.9, [5]), [1]);
  });

  it("scarcity: sheddable requests leave room once servers get scarce", () => {
    const policy = make("scarcity-ceiling-policy", { scarce: { sheddable: 0 } });
    assert.deepEqual(ceilings(policy, 0, [1, 0, -1], "plenty"), [1, 1, 1]);
    assert.deepEqual(ceilings(policy, 0, [1, 0, -1], "tight"), [1, 1, 0.8]);
    assert.deepEqual(ceilings(policy, 0, [1, 0, -1], "scarce"), [1, 0.95, 0]);
  });
});

describe("flow policies of a configuration", () => {
  it("are refused with the plugin's name where a name is of another kind, or unknown", () => {
    assert.throws(
      () => wireFlow(flowSpec({ usageLimit: "fcfs-ordering-policy" })),
      /fcfs-ordering-policy.*usage-limit/,
    );
    assert.throws(() => wireFlow(flowSpec({ saturation: "no-such" })), /no-such/);
    const band = { ...flowSpec().defaultBand, ordering: "static-usage-limit-policy" };
    assert.throws(() => wireFlow(flowSpec({ defaultBand: band })), /static-usage-limit-policy.*ordering/);
    const plugins = [{ name: "x", type: "utilization-detector", parameters: { queueDepth: 5 } }];
    assert.throws(() => wireFlow(flowSpec({ plugins })), /x .*queueDepth/);
  });

  it("say which quantities of servers they read", () => {
    const { signals } = wireFlow(flowSpec({ saturation: "utilization-detector" }));
    assert.ok(signals.has("waiting") && signals.has("kvUsage"));
    assert.equal(wireFlow(flowSpec()).signals.size, 0);
  });
});
