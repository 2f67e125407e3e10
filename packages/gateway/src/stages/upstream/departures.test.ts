// A caller who leaves, in every phase of a request: the server's connection is closed within 100 ms.
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { IncomingMessage } from "node:http";
import { createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { inTime } from "../../../../../test/harness/in-time.ts";
import { until } from "../../../../../test/harness/until.ts";
import {
  atRest,
  startStages,
  type ForwardCall,
  type ForwardStagesFixture,
} from "../../../test/support/forward-stages.ts";
import type { RequestSetup } from "../../../test/support/forward-fixture.ts";
import type { Script } from "../../../test/support/scripted-server.ts";
import { createManualClock } from "../../testing.ts";

const tries = 20;
const limitMs = 100;

/** All callers leave at once. `closedAt` gives when the connections ended, as far as they have. */
function leaveAll(
  calls: readonly Pick<ForwardCall, "leave">[],
  closedAt: () => readonly number[],
): Promise<void> {
  const leave = (): void => {
    for (const call of calls) call.leave();
  };
  return inTime("the connections are closed", limitMs, leave, () =>
    closedAt().length < calls.length ? undefined : Math.max(...closedAt()),
  );
}

/** The departures are counted under their phase, and nothing is held. */
async function checkDeparted(stages: ForwardStagesFixture, phase: string): Promise<void> {
  assert.equal(stages.metric(`spillway_forward_cancellations_total{pool="chat",phase="${phase}"}`), tries);
  assert.ok(stages.records.every(({ outcome }) => outcome === "client_gone"));
  await atRest(stages);
}

interface Phase {
  readonly name: string;
  /** What is counted, where it differs. */
  readonly counted: string;
  readonly scripts: readonly Script[];
  readonly request?: RequestSetup;
  readonly there: (stages: ForwardStagesFixture, calls: readonly ForwardCall[]) => boolean;
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
];

describe(`the server's connection is closed within ${limitMs} ms`, () => {
  for (const { name, counted, scripts, request, there } of phases) {
    test(name, async (t) => {
      const stages = await startStages(t, scripts);
      const calls = Array.from({ length: tries }, () => stages.call(request));
      await until("all are in their phase", () => there(stages, calls));
      const [server] = stages.servers;
      await leaveAll(calls, () => server?.closedAt ?? []);
      await checkDeparted(stages, counted);
    });
  }

  test("while the server reads a large body slowly", async (t) => {
    const stages = await startStages(t, [silence]);
    const [server] = stages.servers;
    let hasLeft = false;
    server?.server.on("request", (request: IncomingMessage) => {
      // 64 KB every 20 ms at most.
      request.on("data", () => {
        if (hasLeft) return;
        request.pause();
        setTimeout(() => request.resume(), 20);
      });
    });
    // The end hides behind what lies in the server's socket, megabytes that it has not read: the gateway's side tells when.
    const closedAt: number[] = [];
    const onDialled = (message: unknown): void => {
      const { socket } = message as { readonly socket: Socket };
      socket.once("close", () => closedAt.push(performance.now()));
    };
    subscribe("net.client.socket", onDialled);
    t.after(() => unsubscribe("net.client.socket", onDialled));
    const request = { body: Buffer.alloc(8_000_000, "x") };
    const calls = Array.from({ length: tries }, () => stages.call(request));
    await until("all are on their way to the server", () => server?.heads === tries);
    assert.deepEqual(closedAt, []);
    await leaveAll(calls, () => closedAt);
    hasLeft = true;
    await until("the server sees it", () => server?.closedAt.length === tries);
    assert.equal(server?.requests.length, 0);
    await checkDeparted(stages, "whole");
  });

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
    await leaveAll(calls, () => closedAt);
    await checkDeparted(stages, "connect");
  });

  test("in a pause between attempts, after which nothing is sent", async (t) => {
    const refuse: Script = ({ response }) => response.writeHead(503, { "retry-after": "0.2" }).end();
    const clock = createManualClock();
    const stages = await startStages(t, [refuse], { clock, retry: { backoffMs: 100 } });
    const calls = Array.from({ length: tries }, () => stages.call());
    const [server] = stages.servers;
    await until("all were refused once", () => stages.pool.endpoints[0]?.results.length === tries);
    for (const call of calls) call.leave();
    clock.advance(10_000);
    await pause(50);
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
