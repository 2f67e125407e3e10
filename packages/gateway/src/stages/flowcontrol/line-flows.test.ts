import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { plainServer } from "../../../test/support/scheduling-fixture.ts";
import { FlowRig, headerOf, openBand } from "../../../test/support/flow-fixture.ts";
import { dropReasonHeader } from "../../core/drop-reason.ts";
import { createSeededRandom } from "../../core/random.ts";
import { queuePositionHeader } from "./flow-refusals.ts";

const roundRobin = { ...openBand, fairness: "round-robin-fairness-policy" };
const server = [plainServer(0)];

describe("a line with flows", () => {
  it("lets flows take turns, each in the order of its arrivals", () => {
    const rig = new FlowRig({ spec: { defaultBand: roundRobin }, endpoints: server });
    for (const id of ["a1", "a2", "a3", "b1", "c1", "b2"]) rig.join({ id, tenant: id.slice(0, 1) });
    assert.deepEqual(rig.take(6), ["a1", "b1", "c1", "a2", "b2", "a3"]);
    assert.equal(rig.line.length, 0);
  });

  it("does not tell flows apart under the global policy", () => {
    const rig = new FlowRig({ endpoints: server });
    for (const id of ["a1", "a2", "b1"]) rig.join({ id, tenant: id.slice(0, 1) });
    assert.deepEqual(rig.take(3), ["a1", "a2", "b1"]);
  });

  it("orders a flow by deadline, or by the wished time to the first token; those without go last", () => {
    const edf = new FlowRig({
      spec: { defaultBand: { ...openBand, ordering: "edf-ordering-policy" } },
      endpoints: server,
    });
    for (const [id, deadline] of [
      ["late", 900],
      ["soon", 100],
      ["never", Infinity],
      ["mid", 500],
    ] as const) {
      edf.join({ id, deadline });
    }
    assert.deepEqual(edf.take(4), ["soon", "mid", "late", "never"]);
    const slo = new FlowRig({
      spec: { defaultBand: { ...openBand, ordering: "slo-deadline-ordering-policy" } },
      endpoints: server,
    });
    slo.join({ id: "none" });
    slo.join({ id: "500", ttftSloMs: 500 });
    slo.clock.advance(100);
    slo.join({ id: "300 later", ttftSloMs: 300 });
    assert.deepEqual(slo.take(3), ["300 later", "500", "none"]);
  });

  it("passes over models whose servers are full, within a flow and across flows, asking once for each", () => {
    const rig = new FlowRig({ spec: { defaultBand: roundRobin }, endpoints: server });
    for (let i = 0; i < 50; i++) rig.join({ id: `full-${i}`, tenant: `t${i % 5}`, model: "full" });
    rig.join({ id: "free-1", tenant: "t0", model: "free" });
    rig.join({ id: "free-2", tenant: "other", model: "free" });
    let asked = 0;
    const fits = (model: string): boolean => {
      asked++;
      return model === "free";
    };
    assert.deepEqual(rig.take(1, fits), ["free-1"]);
    assert.equal(asked, 2);
    assert.deepEqual(rig.take(5, fits), ["free-2"]);
    assert.equal(rig.line.length, 50);
    assert.deepEqual(rig.take(1), ["full-0"]);
  });

  it("asks for each priority by itself, and goes on to a lower band where a higher one may not go", () => {
    const rig = new FlowRig({ endpoints: server });
    rig.join({ id: "high", priority: 5 });
    rig.join({ id: "low", priority: -1 });
    assert.deepEqual(
      rig.take(2, (_model, priority) => priority < 0),
      ["low"],
    );
  });

  it("bounds requests, bytes and predicted tokens, of all and of each band, and says where one would have stood", () => {
    const band = { ...openBand, maxRequests: 3, maxBytes: 1_000, maxTokens: 100 };
    const rig = new FlowRig({
      spec: {
        maxRequests: 4,
        maxBytes: 1_500,
        maxTokens: 120,
        bands: [{ priority: 1, ...band }],
        defaultBand: band,
      },
      endpoints: server,
    });
    for (let i = 0; i < 3; i++) assert.equal(rig.join({ promptTokens: 1, maxTokens: 1 }).state, "waiting");
    const beyond = rig.join();
    assert.equal(beyond.state, "saturated");
    assert.equal(headerOf(beyond.failure, dropReasonHeader), "rejected-saturated");
    assert.equal(headerOf(beyond.failure, queuePositionHeader), "4");
    assert.equal(rig.join({ priority: 1, promptTokens: 1, maxTokens: 1 }).state, "waiting");
    const high = rig.join({ priority: 1 });
    assert.equal(high.state, "saturated");
    assert.equal(headerOf(high.failure, queuePositionHeader), "2");
    rig.take(4);
    assert.equal(rig.join({ bytes: 900 }).state, "waiting");
    assert.equal(rig.join({ bytes: 200 }).state, "saturated");
    assert.equal(rig.join({ bytes: 700, priority: 1 }).state, "saturated");
    rig.take(4);
    assert.equal(
      rig.join({ bytes: 5_000 }).state,
      "waiting",
      "one that is larger than the bound gets in alone",
    );
    rig.take(4);
    assert.equal(rig.join({ promptTokens: 50, maxTokens: 40 }).state, "waiting");
    assert.equal(rig.join({ promptTokens: 20 }).state, "saturated");
    assert.equal(rig.join({ promptTokens: 25, priority: 1 }).state, "saturated");
    assert.equal(rig.line.tokens, 90);
  });

  it("tells in Retry-After how long the line would take at its present pace", () => {
    const rig = new FlowRig({ spec: { maxRequests: 200 }, endpoints: server });
    for (let i = 0; i < 200; i++) rig.join();
    assert.equal(rig.join().failure?.retryAfterMs, 5_000, "nothing is known yet");
    for (let i = 0; i < 100; i++) {
      rig.clock.advance(100);
      rig.take(1);
      rig.join();
    }
    const wait = rig.join().failure?.retryAfterMs ?? 0;
    assert.ok(wait > 17_000 && wait < 23_000, `201 requests at ten a second: ${wait}`);
  });

  it("lets requests wait as long as their band says, and shorter where they say so", () => {
    const rig = new FlowRig({
      spec: { defaultTtlMs: 1_000, bands: [{ priority: 1, ...openBand, ttlMs: 300 }] },
      endpoints: server,
    });
    const normal = rig.join();
    const short = rig.join({ deadline: 100 });
    const band = rig.join({ priority: 1 });
    rig.clock.advance(102);
    assert.deepEqual([short.state, band.state, normal.state], ["wait_expired", "waiting", "waiting"]);
    assert.equal(headerOf(short.failure, dropReasonHeader), "rejected-ttl-expired");
    rig.clock.advance(200);
    assert.deepEqual([band.state, normal.state], ["wait_expired", "waiting"]);
    rig.clock.advance(700);
    assert.equal(normal.state, "wait_expired");
    assert.equal(rig.line.length, 0);
  });

  it("counts another time while the pool has no endpoint, anew from each change", () => {
    const endpoints = [...server];
    const rig = new FlowRig({ spec: { defaultTtlMs: 1_000, noEndpointTtlMs: 5_000 }, endpoints });
    const first = rig.join();
    rig.clock.advance(900);
    endpoints.length = 0;
    const second = rig.join({ id: "second" });
    rig.clock.advance(4_000);
    assert.deepEqual([first.state, second.state], ["waiting", "waiting"]);
    endpoints.push(...server);
    assert.deepEqual(rig.take(1), [first.request.id]);
    rig.clock.advance(990);
    assert.equal(second.state, "waiting");
    endpoints.length = 0;
    const third = rig.join();
    rig.clock.advance(5_001);
    for (const each of [second, third]) {
      assert.equal(each.state, "no_endpoints");
      assert.equal(headerOf(each.failure, dropReasonHeader), "rejected-no-endpoints");
    }
  });

  it("refuses what it cannot hold with 503 while there is no endpoint", () => {
    const rig = new FlowRig({ spec: { maxRequests: 1 } });
    rig.join();
    assert.equal(rig.join().state, "no_endpoints");
  });

  it("makes room for what is not sheddable, where eviction is on, from the lowest priority up", () => {
    const rig = new FlowRig({
      spec: { maxRequests: 3, eviction: "sheddable-eviction-filter" },
      endpoints: server,
    });
    const low = rig.join({ priority: -2 });
    const shed = rig.join({ priority: -1 });
    const normal = rig.join();
    assert.equal(rig.join({ priority: -1 }).state, "saturated");
    assert.equal(rig.join().state, "waiting");
    assert.deepEqual([low.state, shed.state, normal.state], ["evicted", "waiting", "waiting"]);
    assert.equal(headerOf(low.failure, dropReasonHeader), "evicted-priority");
    assert.equal(rig.join().state, "waiting");
    assert.equal(rig.join().state, "saturated");
    const strict = new FlowRig({ spec: { maxRequests: 1 }, endpoints: server });
    strict.join({ priority: -1 });
    assert.equal(strict.join().state, "saturated");
  });

  it("bounds the bands that requests bring about", () => {
    const rig = new FlowRig({ endpoints: server });
    for (let priority = -500; priority < 500; priority++) rig.join({ priority });
    assert.ok(rig.line.bands.length <= 40, String(rig.line.bands.length));
    assert.equal(rig.take(1_000).length, 1_000);
    assert.equal(rig.line.standing(-7).position, 1);
  });

  it("goes on without a policy that throws", () => {
    const rig = new FlowRig({
      spec: { defaultBand: { ...openBand, fairness: "broken", ordering: "broken" } },
      endpoints: server,
      plugins: [
        {
          type: "broken",
          kinds: ["fairness", "ordering"],
          summary: "throws",
          parameters: { safeParse: () => ({ success: true, data: {} }) } as never,
          create: () => ({
            next: () => assert.fail(),
            rank: () => assert.fail(),
            joined: () => assert.fail(),
          }),
        },
      ],
    });
    rig.join({ id: "a", tenant: "a" });
    rig.join({ id: "b", tenant: "b" });
    assert.deepEqual(rig.take(2), ["a", "b"]);
    assert.ok(rig.faults.length > 0);
  });

  it("says what became of those that waited when it is closed", () => {
    const rig = new FlowRig({ spec: { defaultBand: roundRobin }, endpoints: server });
    const all = [
      rig.join({ tenant: "a" }),
      rig.join({ tenant: "b" }),
      rig.join({ tenant: "a", priority: 3 }),
    ];
    rig.line.flush({ code: "draining", message: "closing" });
    for (const each of all) {
      assert.equal(each.state, "draining");
      assert.equal(headerOf(each.failure, dropReasonHeader), "rejected-shutting-down");
    }
    assert.equal(rig.line.length, 0);
  });
});

const policies = ["global-strict", "round-robin", "deficit-round-robin", "program-aware"] as const;

for (const policy of policies) {
  const fairness = policy === "program-aware" ? "program-aware-fairness" : `${policy}-fairness-policy`;
  for (const ordering of ["fcfs-ordering-policy", "edf-ordering-policy"]) {
    it(`counts return to zero, and each is answered once, after any interleaving: ${policy}, ${ordering}`, () => {
      for (let seed = 1; seed <= 8; seed++) interleave(seed, { fairness, ordering });
    });
  }
}

function interleave(seed: number, band: { readonly fairness: string; readonly ordering: string }): void {
  const random = createSeededRandom(seed);
  const below = (bound: number): number => Math.floor(random.unit() * bound);
  const endpoints = [plainServer(0)];
  const defaultBand = { ...openBand, ...band, maxRequests: 40 };
  const rig = new FlowRig({
    spec: {
      maxRequests: 60,
      maxTokens: 4_000,
      defaultTtlMs: 60,
      noEndpointTtlMs: 90,
      defaultBand,
      eviction: "sheddable-eviction-filter",
    },
    endpoints,
  });
  const holds: { ended(usage: undefined): void }[] = [];
  for (let step = 0; step < 1_500; step++) {
    const dice = below(20);
    if (dice < 9) {
      rig.join({
        tenant: `t${below(6)}`,
        model: `m${below(3)}`,
        priority: below(4) - 1,
        deadline: below(3) === 0 ? Infinity : rig.clock.now() + 1 + below(50),
        bytes: below(100),
        promptTokens: below(200),
      });
    } else if (dice < 13) {
      const closed = below(4);
      const fits = (model: string): boolean => model !== `m${closed}`;
      const suits = below(2) === 0 ? undefined : (): boolean => below(4) === 0;
      const [waiter] = rig.line.take(
        suits === undefined ? { maxRows: 1, fits } : { maxRows: 1, fits, suits },
      );
      if (waiter !== undefined) {
        assert.notEqual(waiter.bound.shapeKey, `m${closed}`);
        const { request } = waiter;
        holds.push(
          rig.gate.granted({
            model: request.model,
            request,
            endpoint: plainServer(0),
            charged: waiter.predictedTokens,
          }),
        );
        waiter.grant({ enqueuedAt: 0, grantedAt: 0, settle: () => {} });
      }
    } else if (dice < 15) rig.all[below(rig.all.length)]?.request.cancellation.cancel("client_gone");
    else if (dice < 16) holds.splice(below(holds.length), 1)[0]?.ended(undefined);
    else if (dice < 17) endpoints.length = endpoints.length === 0 ? (endpoints.push(plainServer(0)), 1) : 0;
    else if (dice === 17 && step % 50 === 0) rig.line.flush({ code: "draining", message: "" });
    else rig.clock.advance(below(8));
    assert.equal(rig.line.length, rig.all.filter(({ state }) => state === "waiting").length);
  }
  rig.take(1_000);
  for (const hold of holds) hold.ended(undefined);
  assert.deepEqual([rig.line.length, rig.line.rows, rig.line.bytes, rig.line.tokens], [0, 0, 0, 0]);
  for (const { length, bytes, tokens, flows } of rig.line.bands) {
    assert.deepEqual([length, bytes, tokens], [0, 0, 0]);
    for (const flow of flows) assert.equal(flow.length, 0);
  }
  assert.equal(rig.gate.underWay, 0);
  for (const { results } of rig.all) assert.equal(results.length, 1);
}
