// One request, one server: what the caller gets of it, and what the server sees.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { until } from "../../../../../test/harness/until.ts";
import {
  CollectingSink,
  forwardRequest,
  startPool,
  type PlainPool,
  type PoolSetup,
  type RequestSetup,
} from "../../../test/support/forward-fixture.ts";
import { startScriptedServer, type Script } from "../../../test/support/scripted-server.ts";
import { isFailure } from "../../core/errors.ts";
import { systemClock } from "../../core/clock.ts";
import { createSystemRandom } from "../../core/random.ts";
import { createScheduling } from "../scheduling/create-scheduling.ts";
import { createUpstream } from "./create-upstream.ts";

function carry(pool: PlainPool, setup: RequestSetup = {}) {
  const scheduling = createScheduling({ clock: systemClock, random: createSystemRandom() });
  const faults: unknown[] = [];
  const log = (_event: string, fields: unknown): void => void faults.push(fields);
  const upstream = createUpstream({
    clock: systemClock,
    scheduling,
    logger: { error: log, warn: log, info: log, debug: log },
  });
  const request = forwardRequest(setup);
  const decision = scheduling.decide({ pool, model: "m" }, request);
  assert.ok(decision !== undefined && !isFailure(decision));
  const sink = new CollectingSink();
  const exchange = upstream.carry(decision, sink);
  const ended = () => until("the answer ends", () => sink.ending);
  return { sink, exchange, request, decision, faults, ended };
}

async function start(t: TestContext, script: Script, setup: PoolSetup = {}) {
  const server = await startScriptedServer(t, script);
  return { server, pool: startPool(t, [server.origin], setup) };
}

test("a short answer goes out in one piece, with who gave it", async (t) => {
  const { server, pool } = await start(t, ({ response }) => {
    response.writeHead(200, { "content-type": "application/json" }).end('{"ok":true}');
  });
  const { sink, ended, faults } = carry(pool);
  assert.equal(await ended(), "whole");
  assert.equal(sink.status, 200);
  assert.equal(sink.text, '{"ok":true}');
  assert.equal(sink.header("x-spillway-endpoint"), "chat/0");
  assert.equal(sink.header("x-spillway-attempts"), "1");
  assert.equal(server.requests[0]?.path, "/v1/chat/completions");
  assert.equal(pool.endpoints[0]?.inFlight, 0);
  assert.deepEqual(
    pool.endpoints[0]?.results.map((result) => [result.kind, result.status, result.usage?.completionTokens]),
    [["ok", 200, 5]],
  );
  assert.deepEqual(faults, []);
});

test("a streamed answer is passed on as it comes", async (t) => {
  const { server, pool } = await start(t, ({ response }) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: one\n\n");
  });
  const { sink, ended } = carry(pool, { stream: true });
  await until("the first event", () => sink.text.includes("one"));
  server.requests[0]?.response.end("data: [DONE]\n\n");
  assert.equal(await ended(), "end");
  assert.equal(sink.text, "data: one\n\ndata: [DONE]\n\n");
});

test("a caller who leaves closes the server's connection", async (t) => {
  const { server, pool } = await start(t, ({ response }) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: one\n\n");
  });
  const { sink, exchange } = carry(pool, { stream: true });
  await until("the first event", () => sink.text.includes("one"));
  const leftAt = performance.now();
  exchange.cancel("client_gone");
  await until("the connection is closed", () => server.closedAt.length > 0);
  assert.ok((server.closedAt[0] ?? Infinity) - leftAt < 100);
  assert.equal(pool.endpoints[0]?.inFlight, 0);
});

test("an answer that breaks off ends with the dialect's error", async (t) => {
  const { pool } = await start(t, ({ response, socket }) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: one\n\n", () => socket.destroy());
  });
  const { sink, ended } = carry(pool, { stream: true });
  assert.equal(await ended(), "end");
  assert.match(sink.text, /event: error\ndata: bad_upstream_answer/);
  assert.equal(pool.endpoints[0]?.results[0]?.kind, "closed");
});

test("a server that cannot be reached", async (t) => {
  const { server, pool } = await start(t, () => undefined);
  await server.close();
  const { sink, ended } = carry(pool);
  assert.equal(((await ended()) as { code: string }).code, "upstream_unreachable");
  assert.equal(sink.status, 0);
});
