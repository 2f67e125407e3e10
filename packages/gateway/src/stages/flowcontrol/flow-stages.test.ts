// Flow control between scheduling and upstream, with real connections.
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { until } from "../../../../../test/harness/until.ts";
import { flowSpec, headerOf, openBand, wireFlow } from "../../../test/support/flow-fixture.ts";
import { PlainEndpoint } from "../../../test/support/forward-fixture.ts";
import { atRest, startStages, type ForwardCall } from "../../../test/support/forward-stages.ts";
import type { Script } from "../../../test/support/scripted-server.ts";
import type { FlowSpec } from "../../contracts/plugins/flow.ts";
import { systemClock } from "../../core/clock.ts";
import { dropReasonHeader } from "../../core/drop-reason.ts";
import type { Failure } from "../../core/errors.ts";
import { createMetrics } from "../../telemetry/index.ts";
import { createFlowControl, type FlowControl } from "./create-flow-control.ts";

const events = { "content-type": "text/event-stream" };
const silence: Script = () => undefined;
const answer: Script = ({ response }) =>
  void response.writeHead(200, { "content-type": "application/json" }).end("{}");
const beginning: Script = ({ response }) => void response.writeHead(200, events).write("data: one\n\n");

function makeFlow(t: TestContext, spec: Partial<FlowSpec>): FlowControl {
  const metrics = createMetrics();
  const flow = createFlowControl({
    pool: "chat",
    flow: wireFlow(flowSpec(spec), systemClock, metrics),
    clock: systemClock,
    metrics,
    onFault: (plugin, error) => assert.fail(`${plugin}: ${String(error)}`),
  });
  t.after(() => flow.close());
  return flow;
}

/** A gate with so many places in sum. */
function places(count: number): Partial<FlowSpec> {
  const plugins = [{ name: "places", type: "concurrency-detector", parameters: { maxConcurrency: count } }];
  return { plugins, saturation: "places" };
}

/** Undefined while it runs, and where it ended well. */
function failureOf({ sink: { ending } }: ForwardCall): Failure | undefined {
  return typeof ending === "object" ? ending : undefined;
}

const codeOf = (call: ForwardCall): string | undefined => failureOf(call)?.code;

describe("flow control between scheduling and upstream", () => {
  it("holds requests back while the servers are full, and lets the most urgent go first", async (t) => {
    const flow = makeFlow(t, places(1));
    const order: string[] = [];
    const noted: Script = (request) => {
      order.push(request.body.toString());
      answer(request);
    };
    const stages = await startStages(t, [noted], { flow });
    const held = stages.call({ body: Buffer.from("first") });
    const calls = (
      [
        ["low", -1],
        ["normal", 0],
        ["high", 5],
      ] as const
    ).map(([name, priority]) => stages.call({ body: Buffer.from(name), priority }));
    assert.equal(flow.line.length, 3);
    for (const call of [held, ...calls]) assert.equal(await call.ended(), "whole");
    assert.deepEqual(order, ["first", "high", "normal", "low"]);
    await atRest(stages);
    assert.equal(flow.gate.underWay, 0);
  });

  it("calls off a request before its answer, and tries it nowhere else", async (t) => {
    const flow = makeFlow(t, { ...places(1), eviction: "sheddable-eviction-filter" });
    const stages = await startStages(t, [silence, silence], { flow });
    const sheddable = [stages.call({ priority: -1 }), stages.call({ priority: -1 })];
    await until("both have arrived", () => stages.servers.every(({ requests }) => requests.length === 1));
    for (const server of stages.servers) server.script = answer;
    const urgent = stages.call();
    assert.equal(await urgent.ended(), "whole");
    const evicted = await until("one is called off", () =>
      sheddable.find((call) => codeOf(call) !== undefined),
    );
    assert.equal(codeOf(evicted), "evicted");
    assert.equal(headerOf(failureOf(evicted), dropReasonHeader), "evicted");
    assert.equal(
      stages.servers.reduce((sum, { requests }) => sum + requests.length, 0),
      3,
    );
    for (const call of sheddable) call.leave();
    await atRest(stages);
    assert.equal(flow.gate.underWay, 0);
  });

  it("ends a stream that is called off with an error that the caller can see", async (t) => {
    const flow = makeFlow(t, { ...places(1), eviction: "sheddable-eviction-filter" });
    const stages = await startStages(t, [beginning], { flow });
    const stream = stages.call({ priority: -1, stream: true });
    await until("the stream runs", () => stream.sink.text.includes("one"));
    const urgent = stages.call({ stream: true });
    await stream.ended();
    assert.ok(codeOf(stream) === "evicted" || stream.sink.text.includes("error"), stream.sink.text);
    assert.equal(stages.records[0]?.outcome, "evicted");
    await until("the other runs", () => urgent.sink.text.includes("one"));
    urgent.leave();
    await atRest(stages);
    assert.equal(flow.gate.underWay, 0);
  });

  it("lets requests wait for the first server of a pool that has none, and tells them when none comes", async (t) => {
    const flow = makeFlow(t, { noEndpointTtlMs: 300 });
    const stages = await startStages(t, [answer], { flow });
    const [server] = stages.pool.endpoints.splice(0);
    assert.ok(server instanceof PlainEndpoint);
    const vain = stages.call();
    await vain.ended();
    assert.equal(codeOf(vain), "no_endpoints");
    assert.equal(headerOf(failureOf(vain), dropReasonHeader), "rejected-no-endpoints");
    const patient = stages.call();
    assert.equal(flow.line.length, 1);
    stages.pool.endpoints.push(server);
    flow.gate.changed();
    assert.equal(await patient.ended(), "whole");
    await atRest(stages);
  });

  it("gives places back whichever way requests end", async (t) => {
    const flow = makeFlow(t, {
      ...places(4),
      defaultBand: { ...openBand, fairness: "deficit-round-robin-fairness-policy" },
    });
    const scripts: Script[] = [
      answer,
      beginning,
      ({ socket }) => void socket.destroy(),
      ({ response }) => void response.writeHead(503).end(),
      silence,
    ];
    const stages = await startStages(t, [(request) => scripts[request.index % scripts.length]?.(request)], {
      flow,
      timeouts: { firstTokenMs: 80, idleMs: 80, totalMs: 160 },
      retry: { maxRetries: 1, backoffMs: 1 },
    });
    const calls = Array.from({ length: 40 }, (_, index) =>
      stages.call({ stream: index % 2 === 0, priority: (index % 3) - 1 }),
    );
    for (const [index, call] of calls.entries()) if (index % 7 === 0) call.leave();
    await until("all have ended", () => flow.gate.underWay === 0 && flow.line.length === 0);
    await atRest(stages);
    assert.deepEqual([flow.line.bytes, flow.line.tokens], [0, 0]);
  });
});
