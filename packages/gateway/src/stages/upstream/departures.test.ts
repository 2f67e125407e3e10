// A caller who leaves, in every phase of a request: the server's connection is closed within 100 ms.
import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { until } from "../../../../../test/harness/until.ts";
import {
  atRest,
  startStages,
  type ForwardCall,
  type ForwardStagesFixture,
  type StagesSetup,
} from "../../../test/support/forward-stages.ts";
import type { RequestSetup } from "../../../test/support/forward-fixture.ts";
import type { Script } from "../../../test/support/scripted-server.ts";
import { createManualClock } from "../../testing.ts";

const tries = 20;
const limitMs = 100;

/** Leaves each of several calls once `there` says that all are in their phase; how long until their connections are closed, at most. */
async function leaveAll(
  stages: ForwardStagesFixture,
  calls: readonly Pick<ForwardCall, "leave">[],
  there: () => boolean,
): Promise<number> {
  await until("all are in their phase", there);
  const open = stages.servers.reduce((sum, server) => sum + server.sockets.size, 0);
  const closed = stages.servers.map((server) => server.closedAt.length);
  const leftAt = performance.now();
  for (const call of calls) call.leave();
  const isClosed = (): boolean =>
    stages.servers.reduce((sum, server, index) => sum + server.closedAt.length - (closed[index] ?? 0), 0) >=
    Math.min(open, calls.length);
  await until("the connections are closed", isClosed);
  return Math.max(0, ...stages.servers.flatMap((server) => server.closedAt.map((at) => at - leftAt)));
}

interface Phase {
  readonly name: string;
  /** What is counted, where it differs. */
  readonly counted: string;
  readonly scripts: readonly Script[];
  readonly setup?: StagesSetup;
  readonly request?: RequestSetup;
  readonly there: (stages: ForwardStagesFixture, calls: readonly ForwardCall[]) => boolean;
}

/** 64 KB every 20 ms at most, until `isOver`: what lies in its socket hides the end from a server that does not read. */
function readSlowly(request: IncomingMessage, isOver: () => boolean): void {
  request.on("data", () => {
    if (isOver()) return;
    request.pause();
    setTimeout(() => request.resume(), 20);
  });
}

const silence: Script = () => undefined;
const events = { "content-type": "text/event-stream" };
const allArrived: Phase["there"] = ({ servers }) => servers[0]?.requests.length === tries;

const phases: readonly Phase[] = [
  {
    name: "before the head of a stream",
    counted: "first_token",
    scripts: [silence],
    request: { stream: true },
    there: allArrived,
  },
  {
    name: "before the first token",
    counted: "first_token",
    scripts: [({ response }) => void response.writeHead(200, events).write(": hello\n\n")],
    request: { stream: true },
    there: allArrived,
  },
  {
    name: "in the middle of a stream",
    counted: "stream",
    scripts: [({ response }) => void response.writeHead(200, events).write("data: one\n\n")],
    request: { stream: true },
    there: (_stages, calls) => calls.every(({ sink }) => sink.text.includes("one")),
  },
  {
    name: "before an answer that is not streamed",
    counted: "whole",
    scripts: [silence],
    there: allArrived,
  },
  {
    name: "in the middle of an answer that is not streamed",
    counted: "whole",
    scripts: [({ response }) => void response.writeHead(200).write("x".repeat(100_000))],
    there: (_stages, calls) => calls.every(({ sink }) => sink.text.length === 100_000),
  },
  {
    name: "while the server reads a large body slowly",
    counted: "whole",
    scripts: [silence],
    request: { body: Buffer.alloc(8_000_000, "x") },
    there: ({ servers }) => servers[0]?.heads === tries,
  },
];

describe(`the server's connection is closed within ${limitMs} ms`, () => {
  for (const { name, counted, scripts, request, setup, there } of phases) {
    test(name, async (t) => {
      const stages = await startStages(t, scripts, setup);
      let hasLeft = false;
      if (request?.body !== undefined) {
        stages.servers[0]?.server.on("request", (asked: IncomingMessage) => readSlowly(asked, () => hasLeft));
      }
      const calls = Array.from({ length: tries }, () => stages.call(request));
      const readOn = { leave: () => void (hasLeft = true) };
      const worst = await leaveAll(stages, [...calls, readOn], () => there(stages, calls));
      assert.ok(worst < limitMs, `${worst} ms`);
      const sample = `spillway_forward_cancellations_total{pool="chat",phase="${counted}"}`;
      assert.equal(stages.metric(sample), tries);
      assert.ok(stages.records.every(({ outcome }) => outcome === "client_gone"));
      await atRest(stages);
    });
  }

  test("while the connection is being made", async (t) => {
    // A server that never answers the greeting of TLS: connected, but not made.
    const open = new Set<Socket>();
    const busy = createServer((socket) => void open.add(socket.on("error", () => undefined)));
    await new Promise<void>((resolve) => void busy.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      for (const socket of open) socket.destroy();
      busy.close();
    });
    const { port } = busy.address() as { port: number };
    const stages = await startStages(t, [silence], {
      access: { origin: `https://127.0.0.1:${port}` },
    });
    const calls = Array.from({ length: tries }, () => stages.call({ stream: true }));
    await until("all dial", () => open.size === tries);
    const closedAt: number[] = [];
    for (const socket of open) socket.resume().on("close", () => closedAt.push(performance.now()));
    const leftAt = performance.now();
    for (const call of calls) call.leave();
    await until("the connections are closed", () => closedAt.length === tries);
    assert.ok(Math.max(...closedAt) - leftAt < limitMs);
    assert.equal(stages.metric('spillway_forward_cancellations_total{pool="chat",phase="connect"}'), tries);
    await atRest(stages);
  });

  test("in a pause between attempts, after which nothing is sent", async (t) => {
    const refuse: Script = ({ response }) => response.writeHead(503, { "retry-after": "0.2" }).end();
    const stages = await startStages(t, [refuse], { retry: { backoffMs: 100 } });
    const calls = Array.from({ length: tries }, () => stages.call());
    const server = stages.servers[0];
    await until("all were refused once", () => stages.pool.endpoints[0]?.results.length === tries);
    for (const call of calls) call.leave();
    await pause(400);
    assert.equal(server?.requests.length, tries);
    assert.equal(stages.metric('spillway_forward_cancellations_total{pool="chat",phase="backoff"}'), tries);
    await atRest(stages);
  });

  test("in line, where no server hears of it", async (t) => {
    const stages = await startStages(t, [silence]);
    const [endpoint] = stages.pool.endpoints;
    if (endpoint !== undefined) endpoint.capacity = 1;
    const first = stages.call({ stream: true });
    const waiting = Array.from({ length: tries }, () => stages.call({ stream: true }));
    assert.equal(stages.pool.line.length, tries);
    for (const call of waiting) call.leave();
    assert.equal(stages.pool.line.length, 0);
    assert.equal(stages.metric('spillway_forward_cancellations_total{pool="chat",phase="queue"}'), tries);
    await until("the first arrives", () => stages.servers[0]?.requests.length === 1);
    first.leave();
    await atRest(stages);
    await pause(50);
    assert.equal(stages.servers[0]?.requests.length, 1);
  });

  test("before its portion of new requests is sent, where no server hears of it", async (t) => {
    const clock = createManualClock();
    const stages = await startStages(t, [({ response }) => response.end("ok")], { clock });
    const first = stages.call();
    clock.advance(5);
    const late = Array.from({ length: tries }, () => stages.call());
    const [stays, ...leave] = late;
    for (const call of leave) call.leave();
    assert.equal(await first.ended(), "whole");
    assert.equal(await stays?.ended(), "whole");
    await atRest(stages);
    await pause(50);
    assert.equal(stages.servers[0]?.requests.length, 2);
    const connect = stages.metric('spillway_forward_cancellations_total{pool="chat",phase="connect"}');
    assert.equal(connect, tries - 1);
  });

  test("between decision and sending, where no server hears of it", async (t) => {
    const stages = await startStages(t, [silence]);
    for (let turn = 0; turn < tries; turn++) stages.call({}, (call) => call.leave());
    await atRest(stages);
    await pause(50);
    assert.equal(stages.servers[0]?.connections, 0);
    assert.equal(stages.records.length, tries);
  });
});

test("what was used until the caller left is charged", async (t) => {
  const stages = await startStages(t, [
    ({ response }) => void response.writeHead(200, events).write("data: one\n\n"),
  ]);
  const { sink, request, leave } = stages.call({ stream: true });
  await until("the first event", () => sink.text.includes("one"));
  leave();
  assert.deepEqual(request.usage, {
    promptTokens: 10,
    cachedTokens: 0,
    completionTokens: 1,
    estimated: true,
  });
});
