// Answers that break, through a whole gateway, in every cell of the table of dialects: before the first
// content another server is tried unseen, or the caller gets an error with a status; after it the stream
// ends in the caller's own error. Never a clean 200.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { callers, serverAt } from "../harness/chat-wire.ts";
import { startCall, type ForwardCall } from "../harness/forward-call.ts";
import { cellPools, cells, nameOf, sampleOf, type Cell } from "../harness/dialect-cells.ts";
import type { TestGateway } from "../harness/gateway.ts";
import { Cleanup, startPooledGateway } from "../harness/pooled-gateway.ts";
import {
  answerWhole,
  openStream,
  openWithContent,
  pathOf,
  startScriptedModel,
  type ModelScript,
  type ScriptedModel,
} from "../harness/scripted-model.ts";
import { until } from "../harness/until.ts";

/** A cell of its own: server, gateway, and a pool that tries again beside one that does not. */
interface Bench {
  readonly server: ScriptedModel;
  readonly gateway: TestGateway;
}

/** Servers that fail on purpose are to be asked all the same. */
const health = { failures: 100, backoff: { initial: "10ms", max: "20ms" } };
/** Long enough for an answer on a busy machine where one has to come, short where none does. */
const timeouts = (max: number): object => {
  const limit = max === 0 ? "100ms" : "1500ms";
  return { firstToken: limit, idle: limit };
};

/** The same pool, of which a request has one attempt. */
const once = (pool: string): string => `${pool}-once`;

async function startBench(cell: Cell, cleanup: Cleanup): Promise<Bench> {
  const server = await startScriptedModel(cleanup, [cell.pool, once(cell.pool)]);
  const pool = (max: number): object => ({
    ...(cellPools([server.url])[cell.pool] as object),
    retries: { backoff: "1ms", max },
    health,
    timeouts: timeouts(max),
  });
  const pools = { [cell.pool]: pool(1), [once(cell.pool)]: { ...pool(0), models: [once(cell.pool)] } };
  const gateway = await startPooledGateway(cleanup, { pools });
  return { server, gateway };
}

function ask(
  { gateway }: Bench,
  { caller, pool }: Pick<Cell, "caller" | "pool">,
  stream: boolean,
): ForwardCall {
  const { path, body } = callers[caller];
  return startCall(gateway.url, { path, body: body(pool, stream) });
}

/** What comes before the first content. */
function opening(path: string): string {
  return serverAt(path).frames(["x"]).opening.join("");
}

/** Ways to break before the first content. */
const early: Readonly<Record<string, ModelScript>> = {
  "closes the connection before its headers": ({ socket }) => void socket.destroy(),
  "resets the connection before its headers": ({ socket }) => void socket.resetAndDestroy(),
  "sends half of its headers": ({ socket }) => socket.end("HTTP/1.1 200 OK\r\ncontent-ty"),
  "sends what is not HTTP": ({ socket }) => socket.end("220 mail.example ESMTP\r\n"),
  "closes the connection after its headers": (call) => openStream(call).socket?.destroySoon(),
  "ends the stream after its headers": (call) => void openStream(call).end(),
  "ends the stream before its first content": (call) => void openStream(call).end(opening(pathOf(call))),
  "sends an event that cannot be read": (call) =>
    void openStream(call).write(serverAt(pathOf(call)).malformed),
  "sends an error inside of a 200": (call) => void openStream(call).end(serverAt(pathOf(call)).error),
  "sends a page instead of a stream": ({ response }) =>
    void response.writeHead(200, { "content-type": "text/html" }).end("<html>"),
  "answers 502": ({ response }) => void response.writeHead(502).end("Bad Gateway"),
  "answers 504": ({ response }) => void response.writeHead(504).end("Gateway Timeout"),
  "sends nothing": () => undefined,
  "sends headers and then nothing": (call) => void openStream(call),
};

/** Ways to break after the first content. */
const late: Readonly<Record<string, ModelScript>> = {
  "closes the connection": (call) => openWithContent(call).socket?.destroySoon(),
  "resets the connection": (call) => {
    const { socket } = openWithContent(call);
    setTimeout(() => socket?.resetAndDestroy(), 20);
  },
  "ends the stream": (call) => void openWithContent(call).end(),
  "ends the stream before its last word": (call) =>
    void openWithContent(call).end(serverAt(pathOf(call)).frames(["x"]).closing.slice(0, -1).join("")),
  "closes the connection within a frame": (call) => {
    const response = openWithContent(call);
    response.write(serverAt(pathOf(call)).frames(["half a word"]).content.join("").slice(0, -20));
    response.socket?.destroySoon();
  },
  "sends nothing more": (call) => void openWithContent(call),
  "sends an event that cannot be read": (call) =>
    void openWithContent(call).write(serverAt(pathOf(call)).malformed),
  "sends an error and ends": (call) => void openWithContent(call).end(serverAt(pathOf(call)).error),
};

/** Ways to break an answer that is not streamed. */
const whole: Readonly<Record<string, ModelScript>> = {
  "closes the connection in the middle": (call) => {
    const body = serverAt(pathOf(call)).whole("one two");
    call.response.writeHead(200, { "content-type": "application/json", "content-length": body.length });
    call.response.write(body.slice(0, 30));
    call.response.socket?.destroySoon();
  },
  "ends chunks without the last": (call) => {
    call.response.writeHead(200, { "content-type": "application/json" });
    call.response.write(serverAt(pathOf(call)).whole("one two"));
    call.response.socket?.destroySoon();
  },
  "stalls in the middle": (call) => {
    call.response.writeHead(200, { "content-type": "application/json" });
    call.response.write(serverAt(pathOf(call)).whole("one two").slice(0, 30));
  },
};

/** The first attempt fails, the next is answered; or there is but one, and the caller is told with a status. */
async function breakUnseen(
  bench: Bench,
  cell: Cell,
  { script, stream }: { readonly script: ModelScript; readonly stream: boolean },
): Promise<ForwardCall> {
  const { server } = bench;
  const { caller, pool } = cell;
  const made = server.calls.length;
  server.script = (call) => (server.calls.length === made + 1 ? script(call) : answerWhole(call));
  const second = await ask(bench, cell, stream).ended();
  assert.equal(second.status, 200, second.text);
  assert.equal(second.headers["x-spillway-attempts"], "2");
  assert.ok(second.isComplete);
  server.script = script;
  const only = await ask(bench, { caller, pool: once(pool) }, stream).ended();
  assert.ok([500, 502, 504].includes(only.status), `${only.status} ${only.text}`);
  assert.match(String(only.headers["content-type"]), /^application\/json/);
  assert.ok(callers[caller].errorOf(only.text).length > 0);
  return second;
}

/** The stream ends in the caller's error, and no other server is asked. */
async function breakSeen(bench: Bench, cell: Cell, script: ModelScript): Promise<void> {
  const { server } = bench;
  const wire = callers[cell.caller];
  const made = server.calls.length;
  server.script = script;
  const call = await ask(bench, cell, true).ended();
  assert.equal(call.status, 200);
  assert.ok(wire.textOf(call.text).startsWith("one "), call.text);
  assert.ok(wire.endsInError(call.text) && !wire.isWhole(call.text), call.text);
  assert.equal(server.calls.length, made + 1);
}

/** Nothing is left open, at servers or in the books. */
async function checkRest({ server, gateway }: Bench, { pool }: Cell): Promise<void> {
  for (const name of [pool, once(pool)]) {
    const open = `spillway_forward_open_streams{pool="${name}"}`;
    await until("no stream is open", async () => (await sampleOf(gateway, open)) === 0);
    const asked = `spillway_forward_requests_total{pool="${name}",model="${name}"`;
    const bad = await sampleOf(gateway, `${asked},outcome="bad_upstream_answer"}`);
    const late = await sampleOf(gateway, `${asked},outcome="upstream_timeout"}`);
    assert.ok(bad > 0 && late > 0, `${bad} bad, ${late} too late`);
  }
  for (const { endpoints } of gateway.forward.pools()) {
    for (const endpoint of endpoints) assert.equal(endpoint.inFlight, 0);
  }
  await until("the server sees that nobody listens any more", () =>
    server.calls.every(({ response, closedAt }) => response.writableFinished || closedAt !== undefined),
  );
}

describe("a server that breaks off", { concurrency: true }, () => {
  for (const cell of cells) {
    describe(nameOf(cell), { concurrency: 1 }, () => {
      const cleanup = new Cleanup();
      let bench: Bench;
      before(async () => void (bench = await startBench(cell, cleanup)));
      after(() => cleanup.closeAll());

      for (const [what, script] of Object.entries(early)) {
        it(`and ${what} is followed by another unseen, else the caller is told with a status`, async () => {
          const { text } = await breakUnseen(bench, cell, { script, stream: true });
          assert.equal(callers[cell.caller].textOf(text), "one two");
          assert.ok(callers[cell.caller].isWhole(text));
        });
      }
      for (const [what, script] of Object.entries(late)) {
        it(`and ${what} after its first content leaves the caller's error at the end`, () =>
          breakSeen(bench, cell, script));
      }
      for (const [what, script] of Object.entries(whole)) {
        it(`and ${what} of an answer that is not streamed is followed by another unseen, else the caller is told`, async () => {
          const { text } = await breakUnseen(bench, cell, { script, stream: false });
          assert.match(text, /one two/);
        });
      }
      it("leaves nothing open, and each end is counted by its cause", () => checkRest(bench, cell));
    });
  }
});
