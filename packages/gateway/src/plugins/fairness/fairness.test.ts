import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FlowRig, openBand } from "../../../test/support/flow-fixture.ts";
import { plainServer } from "../../../test/support/scheduling-fixture.ts";
import type { FlowSpec } from "../../contracts/plugins/flow.ts";
import { createSeededRandom } from "../../core/random.ts";
import { jainIndex } from "./program-aware-fairness.ts";

const drr = "deficit-round-robin-fairness-policy";

interface Tenant {
  readonly name: string;
  /** Prompt and completion tokens of its requests. */
  readonly prompt: () => number;
  readonly completion: () => number;
}

interface Share {
  readonly spec: Partial<FlowSpec>;
  readonly tenants: readonly Tenant[];
  /** Tokens that the servers compute in a second, and requests that they have at once. */
  readonly tokensPerSecond: number;
  readonly slots: number;
  readonly seconds: number;
  /** Requests of each tenant that wait at all times. */
  readonly waiting: number;
}

/**
 * Servers that work at a fixed pace on a few requests at once, while every tenant always has some in line. Gives for
 * each window of ten seconds the tokens that each tenant was served.
 */
function serve({ spec, tenants, tokensPerSecond, slots, seconds, waiting }: Share): number[][] {
  const rig = new FlowRig({ spec, endpoints: [plainServer(0)] });
  const running: { left: number; tenant: number; end: () => void }[] = [];
  const windows: number[][] = [];
  const sizes = new Map<string, number>();
  let made = 0;
  const join = (index: number): void => {
    const { name, prompt, completion } = tenants[index] ?? assert.fail();
    const id = `${index} ${++made}`;
    sizes.set(id, completion());
    rig.join({ id, tenant: name, promptTokens: prompt(), maxTokens: 100_000 });
  };
  for (let index = 0; index < tenants.length; index++) for (let n = 0; n < waiting; n++) join(index);
  const stepMs = 10;
  for (let now = 0; now < seconds * 1_000; now += stepMs) {
    while (running.length < slots) {
      const [waiter] = rig.line.take({ maxRows: 1 });
      const { request, predictedTokens: charged } = waiter ?? assert.fail("nobody waits");
      const tenant = Number(request.id.split(" ")[0]);
      const { promptTokens } = request.payload.estimate;
      const completionTokens = sizes.get(request.id) ?? 0;
      const hold = rig.gate.granted({ model: "m", request, endpoint: plainServer(0), charged });
      const usage = { promptTokens, completionTokens, cachedTokens: 0, estimated: false };
      running.push({ left: promptTokens + completionTokens, tenant, end: () => hold.ended(usage) });
      join(tenant);
    }
    const window = (windows[Math.floor(now / 10_000)] ??= tenants.map(() => 0));
    const each = (tokensPerSecond * stepMs) / 1_000 / running.length;
    for (const one of running.filter(({ left }) => left > 0)) {
      const done = Math.min(each, one.left);
      window[one.tenant] = (window[one.tenant] ?? 0) + done;
      one.left -= done;
      if (one.left > 0) continue;
      running.splice(running.indexOf(one), 1);
      one.end();
    }
    rig.clock.advance(stepMs);
  }
  return windows;
}

const fixed = (tokens: number) => (): number => tokens;

describe("sharing of servers by tenants who all wait", () => {
  const random = createSeededRandom(7);
  const between = (low: number, high: number) => (): number => low + Math.floor(random.unit() * (high - low));
  const tenants: Tenant[] = [
    { name: "small", prompt: fixed(50), completion: fixed(50) },
    { name: "chats", prompt: between(200, 2_000), completion: between(50, 400) },
    { name: "long prompts", prompt: between(2_000, 8_000), completion: fixed(20) },
    { name: "long answers", prompt: fixed(100), completion: between(500, 2_000) },
    { name: "mixed", prompt: between(10, 4_000), completion: between(10, 1_000) },
    { name: "bursts", prompt: fixed(1_000), completion: fixed(1_000) },
  ];
  const load = { tenants, tokensPerSecond: 40_000, slots: 16, seconds: 60, waiting: 20 };
  const band = (fairness: string) => ({ defaultBand: { ...openBand, fairness }, defaultTtlMs: Infinity });

  it("deficit round robin gives equal tokens in every window of ten seconds, whatever was predicted", () => {
    const windows = serve({ ...load, spec: band(drr) });
    for (const window of windows)
      assert.ok(jainIndex(window) >= 0.98, `${jainIndex(window)}: ${window.join(" ")}`);
  });

  it("turns by requests do not", () => {
    const windows = serve({ ...load, spec: band("round-robin-fairness-policy") });
    for (const window of windows) assert.ok(jainIndex(window) < 0.9, `${jainIndex(window)}`);
  });

  it("least attained service evens out what tenants have had", () => {
    const windows = serve({ ...load, spec: band("program-aware-fairness") });
    const total = tenants.map((_, index) => windows.reduce((sum, window) => sum + (window[index] ?? 0), 0));
    assert.ok(
      total.every((tokens) => tokens > 0),
      total.join(" "),
    );
    assert.ok(jainIndex(total) >= 0.8, `${jainIndex(total)}: ${total.join(" ")}`);
  });

  it("weights give multiples", () => {
    const plugins = [{ name: "weighted", type: drr, parameters: { weights: { chats: 3 } } }];
    const two = tenants.slice(0, 2);
    const [window = []] = serve({
      ...load,
      tenants: two,
      seconds: 10,
      spec: { ...band("weighted"), plugins },
    });
    const ratio = (window[1] ?? 0) / (window[0] ?? 1);
    assert.ok(ratio > 2.7 && ratio < 3.3, String(ratio));
  });
});

describe("fairness bounds", () => {
  it("deficit round robin never lets two waiting flows apart by more than a turn and two requests", () => {
    const quantum = 500;
    const plugins = [{ name: "drr", type: drr, parameters: { quantum } }];
    for (let seed = 1; seed <= 10; seed++) {
      const random = createSeededRandom(seed);
      const rig = new FlowRig({
        spec: { plugins, defaultBand: { ...openBand, fairness: "drr" } },
        endpoints: [plainServer(0)],
      });
      const served = [0, 0, 0, 0, 0];
      const largest = 4_000;
      const join = (flow: number): void =>
        void rig.join({
          id: `${flow}`,
          tenant: `t${flow}`,
          promptTokens: 1 + Math.floor(random.unit() * largest),
          maxTokens: 0,
        });
      for (let flow = 0; flow < 5; flow++) for (let n = 0; n < 3; n++) join(flow);
      for (let step = 0; step < 3_000; step++) {
        const [waiter] = rig.line.take({ maxRows: 1 });
        const { request } = waiter ?? assert.fail();
        const flow = Number(request.id);
        served[flow] = (served[flow] ?? 0) + request.payload.estimate.promptTokens;
        join(flow);
        const apart = Math.max(...served) - Math.min(...served);
        assert.ok(apart <= quantum + 2 * largest, `${apart} after ${step} with seed ${seed}`);
      }
    }
  });

  for (const fairness of ["round-robin-fairness-policy", drr, "program-aware-fairness"]) {
    it(`nobody starves beside a flood: ${fairness}`, () => {
      const rig = new FlowRig({
        spec: { defaultBand: { ...openBand, fairness } },
        endpoints: [plainServer(0)],
      });
      for (let n = 0; n < 500; n++) rig.join({ id: "flood", tenant: "flood" });
      let others = 0;
      for (let n = 0; n < 200; n++) {
        rig.join({ id: "flood", tenant: "flood" });
        if (n % 10 === 0) rig.join({ id: "other", tenant: `other-${n % 50}` });
        rig.clock.advance(1);
        others += rig.take(1).filter((id) => id === "other").length;
      }
      assert.ok(others >= 18, `${others} of 20`);
    });
  }

  it("a flow that comes late does not make up for the time before, nor pay for it", () => {
    const rig = new FlowRig({
      spec: { defaultBand: { ...openBand, fairness: drr } },
      endpoints: [plainServer(0)],
    });
    for (let n = 0; n < 300; n++)
      rig.join({ id: "early", tenant: "early", promptTokens: 1_000, maxTokens: 0 });
    rig.take(100);
    for (let n = 0; n < 100; n++) rig.join({ id: "late", tenant: "late", promptTokens: 1_000, maxTokens: 0 });
    const next = rig.take(100).filter((id) => id === "late").length;
    assert.ok(next >= 48 && next <= 52, String(next));
  });
});
