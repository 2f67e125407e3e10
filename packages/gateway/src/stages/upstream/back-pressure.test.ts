// A caller who reads slowly, or not at all: the server is held up, and memory stays bounded.
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { inTime } from "../../../../../test/harness/in-time.ts";
import { until } from "../../../../../test/harness/until.ts";
import { forwardRequest } from "../../../test/support/forward-fixture.ts";
import { atRest, startStages } from "../../../test/support/forward-stages.ts";
import { startDoor } from "../../../test/support/http-door.ts";
import type { Script } from "../../../test/support/scripted-server.ts";
import type { Route } from "../../contracts/route.ts";

const megabyte = Buffer.from(`data: ${"x".repeat(999_990)}\n\n`);
const total = 100;

/** A stream of 100 MB, as fast as it is taken; counts what was written. */
function flood(): { readonly script: Script; readonly written: () => number } {
  let written = 0;
  const script: Script = ({ response }) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const more = (): void => {
      while (written < total) {
        written++;
        if (!response.write(megabyte)) return void response.once("drain", more);
      }
      response.end("data: [DONE]\n\n");
    };
    more();
  };
  return { script, written: () => written };
}

const chat: Route = {
  method: "POST",
  path: "/chat",
  scope: "infer",
  body: "bytes",
  writeFailure: ({ code }) => ({ status: 500, headers: [], body: [Buffer.from(code)] }),
  handle: ({ cancellation }) => ({ ...forwardRequest({ stream: true }), cancellation }),
};

/** The whole way: door, scheduling, upstream; and a client that reads only when it is told to. */
async function startSlowReader(t: TestContext, script: Script, timeouts = {}) {
  const stages = await startStages(t, [script], { timeouts });
  const { port } = await startDoor(t, {
    routes: [chat],
    decide: (request) => stages.decide(request),
    carry: (decision, sink) => stages.carry(decision, sink),
  });
  const client: Socket = connect(port, "127.0.0.1");
  client.on("error", () => undefined);
  t.after(() => client.destroy());
  client.pause();
  client.write("POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}");
  return { stages, client };
}

/** Resolves when the server has written nothing more for 100 ms. */
async function heldUp(written: () => number): Promise<void> {
  await until("the server is held up", async () => {
    const before = written();
    await pause(100);
    return before > 0 && written() === before;
  });
}

test("the server is held up while the caller does not read, and all arrives when it does", async (t) => {
  const { script, written } = flood();
  const { stages, client } = await startSlowReader(t, script);
  const before = process.memoryUsage();
  await heldUp(written);
  assert.ok(written() < 20, `${written()} MB were taken from the server`);
  const { arrayBuffers } = process.memoryUsage();
  assert.ok(arrayBuffers - before.arrayBuffers < 20_000_000);
  let got = 0;
  let tail = "";
  client.on("data", (chunk: Buffer) => {
    got += chunk.length;
    tail = (tail + chunk.subarray(-40).toString("latin1")).slice(-40);
  });
  client.resume();
  await until("all has arrived", () => got > total * megabyte.length && tail.includes("[DONE]"));
  await atRest(stages);
});

test("a caller who does not read is not the server's silence, but has the total time only", async (t) => {
  const { script, written } = flood();
  const timeouts = { idleMs: 50, totalMs: 600 };
  const { stages, client } = await startSlowReader(t, script, timeouts);
  await heldUp(written);
  await pause(150);
  assert.equal(stages.records.length, 0);
  await until("its time is over", () => stages.records.length === 1);
  assert.equal(stages.records[0]?.outcome, "upstream_timeout");
  assert.ok((stages.records[0]?.durationMs ?? 0) >= 600);
  client.destroy();
  await atRest(stages);
});

test("a caller who leaves while the server is held up closes the server's connection", async (t) => {
  const { script, written } = flood();
  const { stages, client } = await startSlowReader(t, script);
  await heldUp(written);
  const [server] = stages.servers;
  await inTime(
    "the connection is closed",
    100,
    () => void client.resetAndDestroy(),
    () => server?.closedAt[0],
  );
  assert.equal(stages.records[0]?.outcome, "client_gone");
  await atRest(stages);
});
