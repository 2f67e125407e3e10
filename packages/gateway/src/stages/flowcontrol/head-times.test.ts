import assert from "node:assert/strict";
import { it } from "node:test";
import * as z from "zod";
import { FlowRig, openBand } from "../../../test/support/flow-fixture.ts";
import { plainServer } from "../../../test/support/scheduling-fixture.ts";
import type { FairnessPolicy, FlowSet } from "../../contracts/plugins/flow.ts";
import { createSeededRandom } from "../../core/random.ts";
import { definePlugin } from "../../plugins/define-plugin.ts";

/** Sees that the times by slot are those of the heads, and looks at them only now and then. */
class Checking implements FairnessPolicy {
  readonly below: (bound: number) => number;
  looks = 0;

  constructor(below: (bound: number) => number) {
    this.below = below;
  }

  next(flows: FlowSet) {
    const all = Array.from({ length: flows.size }, (_, index) => flows.at(index));
    const open = all.filter((flow) => flow.head() !== undefined);
    if (this.below(3) > 0) {
      this.looks++;
      const told = [...flows.headTimes.entries()].filter(([, time]) => !Number.isNaN(time));
      const heads = open.map((flow) => [flow.slot, flow.head()?.enqueuedAt]);
      assert.deepEqual(
        told,
        heads.toSorted(([a = 0], [b = 0]) => a - b),
      );
    }
    return open[this.below(open.length)];
  }
}

for (const ordering of ["fcfs-ordering-policy", "edf-ordering-policy"]) {
  it(`times of heads are those of the heads after any interleaving: ${ordering}`, () => {
    for (let seed = 1; seed <= 6; seed++) interleave(ordering, seed);
  });
}

function interleave(ordering: string, seed: number): void {
  const random = createSeededRandom(seed);
  const below = (bound: number): number => Math.floor(random.unit() * bound);
  const policy = new Checking(below);
  const rig = new FlowRig({
    spec: { defaultBand: { ...openBand, fairness: "checking", ordering }, defaultTtlMs: 200 },
    endpoints: [plainServer(0)],
    plugins: [
      definePlugin({
        type: "checking",
        kinds: ["fairness"],
        summary: "compares",
        parameters: z.strictObject({}),
        create: () => policy,
      }),
    ],
  });
  for (let step = 0; step < 1_500; step++) {
    const dice = below(16);
    if (dice < 8) {
      const deadline = rig.clock.now() + 1 + below(300);
      rig.join({ tenant: `t${below(12)}`, model: `m${below(3)}`, deadline });
    } else if (dice < 12) {
      const closed = `m${below(4)}`;
      rig.take(1 + below(3), (model) => model !== closed);
    } else if (dice < 14) rig.all[below(rig.all.length)]?.request.cancellation.cancel("client_gone");
    else if (dice === 14 && step % 100 < 4) rig.take(1_000);
    else rig.clock.advance(below(6));
  }
  assert.deepEqual(rig.faults, []);
  assert.ok(policy.looks > 100, String(policy.looks));
}

it("keeps no account of flows that come and go while nobody looks", () => {
  const rig = new FlowRig({
    spec: { defaultBand: { ...openBand, fairness: "program-aware-fairness" } },
    endpoints: [plainServer(0)],
  });
  rig.join({ tenant: "first" });
  rig.join({ tenant: "second" });
  rig.take(1);
  for (let n = 0; n < 5_000; n++) {
    rig.join({ tenant: `t${n}` }).request.cancellation.cancel("client_gone");
  }
  rig.join({ tenant: "late", id: "late" });
  const [band] = rig.line.bands;
  assert.equal(band?.headTimes.length, 4);
  assert.deepEqual(rig.take(2).length, 2);
  assert.equal(rig.line.length, 0);
});
