// Requests that suit the server with room go before their elders of the same flow, within bounds.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FlowRig, openBand } from "../../../test/support/flow-fixture.ts";
import { plainServer } from "../../../test/support/scheduling-fixture.ts";
import type { BandSpec } from "../../contracts/plugins/flow.ts";
import { createSeededRandom } from "../../core/random.ts";
import { lookAhead, maxOvertaken } from "./flow-queue.ts";

function rigOf(band: Partial<BandSpec> = {}): FlowRig {
  return new FlowRig({ spec: { defaultBand: { ...openBand, ...band } }, endpoints: [plainServer(0)] });
}

/** Takes one that suits if there is one; its id. */
function takeSuited(rig: FlowRig, suits: (id: string) => boolean): string | undefined {
  const [waiter] = rig.line.take({ maxRows: 1, suits: ({ request }) => suits(request.id) });
  waiter?.grant({ enqueuedAt: 0, grantedAt: 0, settle: () => {} });
  return waiter?.request.id;
}

describe("requests that suit", () => {
  it("go before their elders of the same flow, and only of that", () => {
    const rig = rigOf({ fairness: "round-robin-fairness-policy" });
    for (const id of ["a1", "a2", "a3"]) rig.join({ id, tenant: "a" });
    for (const id of ["b1", "b2"]) rig.join({ id, tenant: "b" });
    const order = Array.from({ length: 5 }, () => takeSuited(rig, (id) => id === "a3" || id === "b2"));
    assert.deepEqual(order, ["a3", "b2", "a1", "b1", "a2"]);
  });

  it("are not looked for where another order than that of arrival was promised", () => {
    const rig = rigOf({ ordering: "edf-ordering-policy" });
    for (const [id, deadline] of [
      ["late", 900],
      ["soon", 100],
      ["later", 950],
    ] as const)
      rig.join({ id, deadline });
    assert.deepEqual(
      [1, 2, 3].map(() => takeSuited(rig, (id) => id === "later")),
      ["soon", "late", "later"],
    );
  });

  it("are looked for among a few: where none of these does, the first goes", () => {
    const rig = rigOf();
    for (let n = 0; n <= lookAhead; n++) rig.join({ id: `${n}` });
    let asked = 0;
    const last = (id: string): boolean => (asked++, id === `${lookAhead}`);
    assert.equal(takeSuited(rig, last), "0");
    assert.equal(asked, lookAhead);
    assert.equal(takeSuited(rig, last), `${lookAhead}`);
  });

  it("are not handed out once their deadline has passed", () => {
    const rig = rigOf();
    rig.join({ id: "first" });
    const short = rig.join({ id: "short", deadline: 50 });
    rig.clock.advance(49.5);
    Object.assign(short.request, { deadline: 49 });
    assert.equal(
      takeSuited(rig, (id) => id === "short"),
      "first",
    );
    assert.equal(rig.line.length, 0);
    assert.notEqual(short.failure, undefined);
  });
});

describe("whatever suits", () => {
  it("nobody is overtaken more often than the bound, and everybody is served", () => {
    for (let seed = 1; seed <= 5; seed++) {
      const random = createSeededRandom(seed);
      const rig = rigOf({
        fairness: seed % 2 === 0 ? "global-strict-fairness-policy" : "program-aware-fairness",
      });
      const overtaken = new Map<string, { sequence: number; tenant: string; count: number }>();
      let sequence = 0;
      const join = (): void => {
        const tenant = seed % 2 === 0 ? "all" : `t${Math.floor(random.unit() * 3)}`;
        const id = `${++sequence}`;
        overtaken.set(id, { sequence, tenant, count: 0 });
        rig.join({ id, tenant });
      };
      for (let n = 0; n < 200; n++) join();
      let served = 0;
      let most = 0;
      for (let step = 0; step < 3_000 && rig.line.length > 0; step++) {
        if (step < 2_000) join();
        // The oldest never suit: as bad as it can be.
        const id = takeSuited(rig, (each) => Number(each) % 7 !== 1 && random.unit() < 0.5);
        const taken = overtaken.get(id ?? "");
        assert.ok(taken !== undefined && id !== undefined);
        overtaken.delete(id);
        most = Math.max(most, taken.count);
        served++;
        for (const each of overtaken.values()) {
          if (each.tenant === taken.tenant && each.sequence < taken.sequence) each.count++;
        }
      }
      assert.equal(served, sequence);
      assert.ok(most <= maxOvertaken && most > maxOvertaken / 2, `${most} with seed ${seed}`);
    }
  });

  it("deficit round robin lets two waiting flows apart by no more than a turn and three requests", () => {
    const [quantum, largest] = [500, 4_000];
    for (let seed = 1; seed <= 5; seed++) {
      const random = createSeededRandom(seed);
      const rig = new FlowRig({
        spec: {
          plugins: [{ name: "drr", type: "deficit-round-robin-fairness-policy", parameters: { quantum } }],
          defaultBand: { ...openBand, fairness: "drr" },
        },
        endpoints: [plainServer(0)],
      });
      const served = [0, 0, 0, 0];
      const join = (flow: number): void => {
        const promptTokens = 1 + Math.floor(random.unit() * largest);
        rig.join({ id: `${flow}`, tenant: `t${flow}`, promptTokens, maxTokens: 0 });
      };
      for (let flow = 0; flow < 4; flow++) for (let n = 0; n < 10; n++) join(flow);
      for (let step = 0; step < 2_000; step++) {
        const [waiter] = rig.line.take({ maxRows: 1, suits: () => random.unit() < 0.2 });
        const { request } = waiter ?? assert.fail();
        const flow = Number(request.id);
        served[flow] = (served[flow] ?? 0) + request.payload.estimate.promptTokens;
        join(flow);
        const apart = Math.max(...served) - Math.min(...served);
        assert.ok(apart <= quantum + 3 * largest, `${apart} after ${step} with seed ${seed}`);
      }
    }
  });
});
