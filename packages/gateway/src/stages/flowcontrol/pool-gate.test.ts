import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FlowRig, flowRequest, headerOf, openBand } from "../../../test/support/flow-fixture.ts";
import { plainServer } from "../../../test/support/scheduling-fixture.ts";
import type { FlowHold } from "../../contracts/flow-gate.ts";
import type { SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import type { ScarcityRegime } from "../../contracts/scarcity.ts";
import { dropReasonHeader } from "../../core/drop-reason.ts";
import { createLoad, type EndpointLoad } from "../../core/server-signals.ts";

interface Loaded extends SchedulableEndpoint {
  readonly load: EndpointLoad;
}

function loaded(slot: number, capacity: number): Loaded {
  return { ...plainServer(slot, { capacity }), load: createLoad() };
}

/** Gives a request a place, as a lease would. */
function run(
  rig: FlowRig,
  endpoint: Loaded,
  priority = 0,
): { hold: FlowHold; off: string[]; end: () => void } {
  const request = flowRequest({ priority });
  const off: string[] = [];
  const hold = rig.gate.granted({ model: "m", request, endpoint, charged: undefined });
  endpoint.load.requests++;
  const end = (): void => {
    endpoint.load.requests--;
    hold.ended({ promptTokens: 10, cachedTokens: 0, completionTokens: 10, estimated: false });
  };
  request.cancellation.listen((reason) => {
    off.push(reason);
    end();
  });
  return { hold, off, end };
}

describe("the gate of a pool", () => {
  it("lets requests go while the servers are below the ceiling, and says when they are again", () => {
    const server = loaded(0, 2);
    const rig = new FlowRig({ endpoints: [server] });
    let opened = 0;
    rig.gate.onOpening(() => opened++);
    assert.equal(rig.gate.mayDispatch("m", 0), true);
    const first = run(rig, server);
    run(rig, server);
    assert.equal(rig.gate.mayDispatch("m", 0), false);
    first.end();
    assert.equal(opened, 1);
    assert.equal(rig.gate.mayDispatch("m", 0), true);
    assert.equal(rig.gate.underWay, 1);
    first.hold.ended(undefined);
    assert.equal(rig.gate.underWay, 1, "only the first end counts");
  });

  it("opens only where servers for prompts and servers for answers both have room, and calls off at the fuller", () => {
    const at = (slot: number, role: string): Loaded => ({
      ...loaded(slot, 2),
      labels: { "llm-d.ai/role": role },
    });
    const [prefill, decode] = [at(0, "prefill"), at(1, "decode")];
    const rig = new FlowRig({
      spec: { eviction: "sheddable-eviction-filter" },
      endpoints: [prefill, decode, at(2, "encode")],
    });
    const idle = run(rig, prefill, -1);
    const all = [run(rig, decode, -1), run(rig, decode, -1)];
    assert.equal(rig.gate.saturation, 1);
    assert.equal(rig.gate.mayDispatch("m", 0), false, "a third of all places is taken, and all of one kind");
    rig.clock.advance(1);
    assert.deepEqual([idle.off.length, all.flatMap(({ off }) => off).length], [0, 1]);
    rig.clock.advance(20);
    assert.equal(rig.gate.mayDispatch("m", 0), true);
    assert.equal(rig.gate.saturation, 0.5);
  });

  it("says how full one server is, unless its metrics are too old", () => {
    const server = loaded(0, 2);
    const rig = new FlowRig({ endpoints: [server] });
    run(rig, server);
    assert.equal(rig.gate.fullnessOf(server), 0.5);
    const told = new FlowRig({ spec: { saturation: "utilization-detector" }, endpoints: [server] });
    assert.equal(told.gate.fullnessOf(server), undefined);
  });

  it("sees what was just sent: ten requests of one turn do not all go for two places", () => {
    const server = loaded(0, 2);
    const rig = new FlowRig({ endpoints: [server] });
    let gone = 0;
    for (let n = 0; n < 10; n++) {
      if (!rig.gate.mayDispatch("m", 0)) continue;
      gone++;
      run(rig, server);
    }
    assert.equal(gone, 2);
  });

  it("holds lower priorities back by their ceilings", () => {
    const server = loaded(0, 10);
    const plugins = [{ name: "back", type: "priority-holdback-policy", parameters: { minCeiling: 0.5 } }];
    const bands = [10, 0, -5].map((priority) => ({ priority, ...openBand }));
    const rig = new FlowRig({ spec: { plugins, bands, usageLimit: "back" }, endpoints: [server] });
    for (let n = 0; n < 5; n++) run(rig, server);
    const open = (): boolean[] => [10, 0, -5].map((priority) => rig.gate.mayDispatch("m", priority));
    assert.deepEqual(open(), [true, true, false]);
    for (let n = 0; n < 3; n++) run(rig, server);
    assert.deepEqual(open(), [true, false, false]);
    for (let n = 0; n < 2; n++) run(rig, server);
    assert.deepEqual(open(), [false, false, false]);
  });

  it("follows the scarcity of the model", () => {
    let regime: ScarcityRegime = "plenty";
    const server = loaded(0, 10);
    const rig = new FlowRig({
      spec: { usageLimit: "scarcity-ceiling-policy" },
      endpoints: [server],
      regime: () => regime,
    });
    for (let n = 0; n < 5; n++) run(rig, server);
    const open = (): boolean[] => {
      rig.gate.changed();
      return [1, 0, -1].map((priority) => rig.gate.mayDispatch("m", priority));
    };
    for (const priority of [1, 0, -1]) rig.join({ priority });
    assert.deepEqual(open(), [true, true, true]);
    regime = "scarce";
    assert.deepEqual(open(), [true, true, false]);
    for (let n = 0; n < 4; n++) run(rig, server);
    regime = "tight";
    assert.deepEqual(open(), [true, true, false]);
  });

  it("sheds at entry where nobody waits", () => {
    const server = loaded(0, 1);
    const rig = new FlowRig({ spec: { mode: "shed" }, endpoints: [server] });
    assert.equal(rig.gate.refuse("m", flowRequest({ priority: -1 })), undefined);
    run(rig, server);
    const refused = rig.gate.refuse("m", flowRequest({ priority: -1 }));
    assert.equal(refused?.code, "saturated");
    assert.equal(refused.message, "system saturated, sheddable request dropped");
    assert.equal(headerOf(refused, dropReasonHeader), "rejected-saturated");
    assert.equal(rig.gate.refuse("m", flowRequest()), undefined);
    assert.equal(rig.gate.mayDispatch("m", 0), true);
    assert.equal(rig.gate.waitsForEndpoints, false);
  });

  it("calls off the lowest and newest sheddable work for a request above it, two at most, and waits for the effect", () => {
    const server = loaded(0, 4);
    const rig = new FlowRig({ spec: { eviction: "sheddable-eviction-filter" }, endpoints: [server] });
    const old = run(rig, server, -1);
    rig.clock.advance(10);
    const low = run(rig, server, -3);
    const young = run(rig, server, -1);
    const normal = run(rig, server);
    assert.equal(rig.gate.mayDispatch("m", -1), false);
    rig.clock.advance(50);
    assert.deepEqual([old.off, low.off, young.off], [[], [], []], "not for one that is sheddable itself");
    assert.equal(rig.gate.mayDispatch("m", 0), false);
    rig.clock.advance(1);
    assert.deepEqual([old.off, low.off, young.off, normal.off], [[], ["evicted"], [], []]);
    assert.equal(rig.gate.mayDispatch("m", 0), true);
    run(rig, server);
    assert.equal(rig.gate.mayDispatch("m", 0), false);
    rig.clock.advance(5);
    assert.deepEqual(young.off, [], "the round before has not settled");
    rig.clock.advance(10);
    assert.equal(rig.gate.mayDispatch("m", 0), false);
    rig.clock.advance(1);
    assert.deepEqual([old.off, young.off], [[], ["evicted"]]);
  });

  it("does not wait for ever for one that was called off and does not end", () => {
    const server = loaded(0, 2);
    const rig = new FlowRig({ spec: { eviction: "sheddable-eviction-filter" }, endpoints: [server] });
    const deaf = flowRequest({ priority: -1 });
    rig.gate.granted({ model: "m", request: deaf, endpoint: server, charged: undefined });
    server.load.requests++;
    const other = run(rig, server, -1);
    // Of two that are alike the one that began last goes first.
    rig.gate.mayDispatch("m", 0);
    rig.clock.advance(1);
    const victims = (): number =>
      [deaf.cancellation.reason, ...other.off].filter((reason) => reason === "evicted").length;
    assert.equal(victims(), 1);
    let opened = 0;
    rig.gate.onOpening(() => opened++);
    rig.clock.advance(11_000);
    assert.ok(opened > 0);
  });

  it("keeps accounts of those that may be called off, whichever way they end", () => {
    const server = loaded(0, 100);
    const rig = new FlowRig({ spec: { eviction: "sheddable-eviction-filter" }, endpoints: [server] });
    const all = Array.from({ length: 30 }, (_, index) => run(rig, server, -1 - (index % 3)));
    for (const [index, each] of all.entries()) if (index % 2 === 0) each.end();
    assert.equal(rig.gate.underWay, 15);
    for (const [index, each] of all.entries()) if (index % 2 === 1) each.end();
    assert.equal(rig.gate.underWay, 0);
    assert.equal(rig.gate.saturation, 0);
  });

  it("tells its numbers under the names that dashboards know", () => {
    const server = loaded(0, 1);
    const rig = new FlowRig({
      spec: { maxRequests: 2, defaultBand: { ...openBand, maxRequests: 4 } },
      endpoints: [server],
    });
    rig.join({ tenant: "a", bytes: 100 });
    rig.join({ tenant: "a" });
    rig.join();
    rig.take(1);
    run(rig, server);
    const text = rig.metrics.render();
    for (const line of [
      'llm_d_epp_flow_control_requests_total{outcome="Dispatched",priority="0",inference_pool="chat"} 2',
      'llm_d_epp_flow_control_requests_total{outcome="RejectedCapacity",priority="0",inference_pool="chat"} 1',
      'llm_d_epp_flow_control_queue_size{fairness_id="a",priority="0",inference_pool="chat",model_name="m",target_model_name="m"} 1',
      'llm_d_epp_flow_control_queue_bytes{fairness_id="a",priority="0",inference_pool="chat",model_name="m",target_model_name="m"} 0',
      'llm_d_epp_flow_control_pool_saturation{inference_pool="chat",stage="effective"} 1',
      'llm_d_epp_flow_control_capacity_utilization_requests{priority="0",inference_pool="chat"} 0.25',
      'llm_d_epp_flow_control_global_capacity_utilization_requests{inference_pool="chat"} 0.5',
      'inference_extension_flow_control_requests_total{outcome="Dispatched",priority="0",inference_pool="chat"} 2',
    ]) {
      assert.ok(text.includes(line), line);
    }
  });
});
