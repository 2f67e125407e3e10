// Callers who leave, in every phase of a request, through a whole gateway: the server's connection is
// closed within 100 ms, no server is asked for them any more, and nothing stays held. Twenty tries a phase.
import assert from "node:assert/strict";
import { createServer as createTlsServer } from "node:https";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createAuthority } from "../harness/certificates.ts";
import { callers, type CallerName } from "../harness/chat-wire.ts";
import { sampleOf } from "../harness/dialect-cells.ts";
import { startCall, type ForwardCall } from "../harness/forward-call.ts";
import type { TestGateway } from "../harness/gateway.ts";
import { inTime } from "../harness/in-time.ts";
import { startPooledGateway } from "../harness/pooled-gateway.ts";
import {
  answerWhole,
  openStream,
  openWithContent,
  startScriptedModel,
  type ModelCall,
  type ModelScript,
  type ScriptedModel,
} from "../harness/scripted-model.ts";
import { until } from "../harness/until.ts";

const tries = 20;
const limitMs = 100;

/** A gateway over one pool `m`, which has the model `m`. */
interface Bench {
  readonly gateway: TestGateway;
  readonly servers: readonly ScriptedModel[];
}

async function startBench(
  t: Pick<TestContext, "after">,
  scripts: readonly ModelScript[],
  pool: object = {},
): Promise<Bench> {
  const servers = await Promise.all(scripts.map((script) => startScriptedModel(t, ["m"], script)));
  const endpoints = servers.map(({ url }) => url);
  const health = { interval: "1h" };
  const m = { dialect: "openai", endpoints, models: ["m"], serves: ["chat"], health, ...pool };
  return { servers, gateway: await startPooledGateway(t, { pools: { m } }) };
}

function ask({ gateway }: Bench, caller: CallerName, stream: boolean, more: object = {}): ForwardCall {
  const { path, body } = callers[caller];
  return startCall(gateway.url, { path, body: { ...body("m", stream), ...more } });
}

const callsOf = ({ servers }: Bench): ModelCall[] => servers.flatMap(({ calls }) => calls);

/** All callers leave at once. `closed` gives when each of what has to end did, as far as it has. */
async function leaveAll(
  leaving: readonly { leave(): void }[],
  closed: () => readonly (number | undefined)[],
): Promise<void> {
  // The clock starts when a close can be seen: what is written to sockets before costs the test, not the gateway.
  for (const each of leaving) each.leave();
  await inTime(
    "everything is closed",
    limitMs,
    () => undefined,
    () => {
      const last = Math.max(...closed().map((at) => at ?? Infinity));
      return last === Infinity ? undefined : last;
    },
  );
}

/** Nothing is held, and the departures are counted under their phase. */
async function checkRest({ gateway }: Bench, phase: string, count = tries): Promise<void> {
  const departed = `spillway_forward_cancellations_total{pool="m",phase="${phase}"}`;
  assert.equal(await sampleOf(gateway, departed), count);
  const gone = 'spillway_forward_requests_total{pool="m",model="m",outcome="client_gone"}';
  assert.equal(await sampleOf(gateway, gone), count);
  assert.equal(await sampleOf(gateway, 'spillway_forward_open_streams{pool="m"}'), 0);
  assert.equal(await sampleOf(gateway, "spillway_http_body_bytes"), 0);
  const [pool] = gateway.forward.pools();
  assert.deepEqual(
    [pool?.line.length, pool?.endpoints.map(({ inFlight }) => inFlight)],
    [0, pool?.endpoints.map(() => 0)],
  );
  const faults = gateway.events.filter(
    ({ event }) => event === "forward_fault" || event === "http_request_failed",
  );
  assert.deepEqual(faults, []);
}

interface Phase {
  readonly name: string;
  readonly counted: string;
  readonly script: ModelScript;
  readonly stream: boolean;
  readonly caller?: CallerName;
  /** How many bytes of an answer every caller has seen by then. */
  readonly seen?: number;
  readonly pool?: object;
}

const silence: ModelScript = () => undefined;

const phases: readonly Phase[] = [
  { name: "before the head of a stream", counted: "first_token", script: silence, stream: true },
  {
    name: "between the head of a stream and its first token",
    counted: "first_token",
    script: (call) => void openStream(call).write(": still here\n\n"),
    stream: true,
  },
  {
    name: "in the middle of a stream",
    counted: "stream",
    script: (call) => void openWithContent(call),
    stream: true,
    seen: 1,
  },
  {
    name: "in the middle of a stream that is translated",
    counted: "stream",
    script: (call) => void openWithContent(call),
    stream: true,
    caller: "messages",
    seen: 1,
  },
  {
    name: "in the middle of a stream of lines",
    counted: "stream",
    script: (call) => void openWithContent(call),
    stream: true,
    caller: "ollama chat",
    seen: 1,
    pool: { dialect: "ollama", concurrency: 256 },
  },
  { name: "before an answer that is not streamed", counted: "whole", script: silence, stream: false },
  {
    name: "before an answer that is not streamed and is translated",
    counted: "whole",
    script: ({ response }) => void response.writeHead(200).write('{"choices":'),
    stream: false,
    caller: "ollama chat",
  },
  {
    name: "in the middle of an answer that is not streamed",
    counted: "whole",
    script: ({ response }) => void response.writeHead(200).write(`{"x":"${"x".repeat(200_000)}`),
    stream: false,
    seen: 200_000,
  },
];

describe(`the server's connection is closed within ${limitMs} ms of the caller's`, () => {
  for (const { name, counted, script, stream, caller = "chat", seen = 0, pool } of phases) {
    it(name, async (t) => {
      const bench = await startBench(t, [script], pool);
      const calls = Array.from({ length: tries }, () => ask(bench, caller, stream));
      await until("all are in their phase", () => {
        const arrived = callsOf(bench).length === tries;
        return (
          arrived && calls.every(({ chunks }) => chunks.reduce((sum, { length }) => sum + length, 0) >= seen)
        );
      });
      await leaveAll(calls, () => callsOf(bench).map(({ closedAt }) => closedAt));
      await checkRest(bench, counted);
    });
  }

  it("while the connection is being made", async (t) => {
    const authority = createAuthority(t);
    if (authority === undefined) return;
    const answering = createTlsServer(authority.issue("model.test"), (_request, response) => {
      response
        .writeHead(200, { "content-type": "application/json", connection: "close" })
        .end('{"object":"list","data":[{"id":"m"}]}');
    });
    // Answers the pool's questions, then no greeting of TLS any more: connected, but not made.
    const silent: { socket: Socket; closedAt: number | undefined }[] = [];
    let isSilent = false;
    const front = createServer((socket) => {
      if (!isSilent) return void answering.emit("connection", socket);
      const entry: (typeof silent)[number] = { socket, closedAt: undefined };
      silent.push(entry);
      socket.on("error", () => undefined).resume();
      socket.once("close", () => (entry.closedAt = performance.now()));
    });
    await new Promise<void>((resolve) => void front.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      front.close();
      answering.closeAllConnections();
    });
    const { port } = front.address() as AddressInfo;
    const bench = await startBench(t, [], {
      endpoints: [`https://127.0.0.1:${port}`],
      serverName: "model.test",
      ca: authority.file,
    });
    isSilent = true;
    const idle = (): boolean => silent.length >= tries;
    const calls = Array.from({ length: tries }, () => ask(bench, "chat", true));
    await until("all dial", idle);
    await leaveAll(calls, () => silent.map(({ closedAt }) => closedAt));
    await checkRest(bench, "connect");
  });

  it("while a second attempt runs beside a slow first: both are closed", async (t) => {
    const bench = await startHedging(t);
    const calls = Array.from({ length: tries }, () => ask(bench, "chat", true));
    const running = (): ModelCall[] => openCallsOf(bench);
    await until("all have two attempts", () => running().length === 2 * tries);
    await leaveAll(calls, () => running().map(({ closedAt }) => closedAt));
    await checkRest(bench, "hedge");
    assert.equal(await bench.hedges(), tries);
  });

  it("also that of an attempt that another has beaten", async (t) => {
    const bench = await startHedging(t);
    const running = (): ModelCall[] => openCallsOf(bench);
    for (let turn = 0; turn < tries; turn++) {
      const call = ask(bench, "chat", true);
      await until("it has two attempts", () => running().length === 2);
      const [loser, winner] = running();
      assert.ok(loser !== undefined && winner !== undefined);
      await leaveAll([{ leave: () => answerWhole(winner) }], () => [loser.closedAt]);
      assert.ok(callers.chat.isWhole((await call.ended()).text));
      loser.response.end();
    }
    assert.equal(await bench.hedges(), tries);
  });

  it("while the server reads a large body slowly", async (t) => {
    const bench = await startBench(t, [silence]);
    const [server] = bench.servers;
    const sockets = new Set<Socket>();
    const closedAt: number[] = [];
    let isSlow = true;
    server?.server.server.on("request", (request) => {
      if (request.method !== "POST") return;
      sockets.add(request.socket);
      request.socket.once("close", () => closedAt.push(performance.now()));
      request.on("data", () => {
        if (!isSlow) return;
        request.pause();
        setTimeout(() => request.resume(), 20);
      });
    });
    const content = "x".repeat(8_000_000);
    const body = Buffer.from(JSON.stringify({ model: "m", messages: [{ role: "user", content }] }));
    const width = 5;
    for (let turn = 0; turn < tries / width; turn++) {
      sockets.clear();
      closedAt.length = 0;
      const calls = Array.from({ length: width }, () =>
        startCall(bench.gateway.url, { path: "/v1/chat/completions", body }),
      );
      await until("all are on their way to the server", () => sockets.size === width);
      // What lies in its socket hides the end from a server that does not read.
      const readOn = { leave: () => void (isSlow = false) };
      await leaveAll([...calls, readOn], () => Array.from({ length: width }, (_, index) => closedAt[index]));
      isSlow = true;
    }
    assert.equal(server?.calls.length, 0);
    await checkRest(bench, "whole");
  });
});

/** What the callers of a warm-up send, so that a server can tell their attempts from later ones. */
const warmUp = { user: "warm-up" };

/**
 * Attempts that wait for an answer. A warm-up's second attempt may reach its server long after the gateway has closed
 * it, when no more is answered: it is none of them.
 */
const openCallsOf = (bench: Bench): ModelCall[] =>
  callsOf(bench).filter(({ body, response }) => !response.writableEnded && !body.includes(warmUp.user));

/** Two servers that answer quickly until the times are known, and then no more. */
async function startHedging(t: Pick<TestContext, "after">): Promise<Bench & { hedges(): Promise<number> }> {
  const bench = await startBench(t, [answerWhole, answerWhole], { hedging: { maxShare: 0.5 } });
  for (let turn = 0; turn < 60; turn++) await ask(bench, "chat", true, warmUp).ended();
  for (const server of bench.servers) {
    server.calls.length = 0;
    server.script = silence;
  }
  const ended = async (): Promise<number> => {
    const results = ["won", "cancelled"].map(
      (result) => `spillway_forward_hedges_total{pool="m",result="${result}"}`,
    );
    const [won = 0, cancelled = 0] = await Promise.all(
      results.map((sample) => sampleOf(bench.gateway, sample)),
    );
    return won + cancelled;
  };
  const before = await ended();
  return { ...bench, hedges: async () => (await ended()) - before };
}

describe("no server hears of a caller who leaves", () => {
  it("in line", async (t) => {
    const bench = await startBench(t, [silence], { concurrency: 1 });
    const first = ask(bench, "chat", true);
    await until("the only place is taken", () => callsOf(bench).length === 1);
    const waiting = Array.from({ length: tries }, () => ask(bench, "chat", true));
    const [pool] = bench.gateway.forward.pools();
    await until("the others are in line", () => pool?.line.length === tries);
    let emptyAt: number | undefined;
    await leaveAll(waiting, () => {
      if (pool?.line.length === 0) emptyAt ??= performance.now();
      return [emptyAt];
    });
    first.leave();
    await until("the first is closed", () => callsOf(bench)[0]?.closedAt !== undefined);
    await pause(50);
    assert.equal(callsOf(bench).length, 1);
    const queue = 'spillway_forward_cancellations_total{pool="m",phase="queue"}';
    assert.equal(await sampleOf(bench.gateway, queue), tries);
  });

  it("while its body arrives", async (t) => {
    const bench = await startBench(t, [silence]);
    const path = "/v1/chat/completions";
    const calls = Array.from({ length: tries }, () => {
      const call = startCall(bench.gateway.url, { path, headers: { "content-length": "2000000" } });
      call.request.write(Buffer.alloc(1_000_000, " "));
      return call;
    });
    const held = (): Promise<number> => sampleOf(bench.gateway, "spillway_http_body_bytes");
    await until("all are half there", async () => (await held()) === tries * 1_000_000);
    for (const call of calls) call.leave();
    await until("nothing is held", async () => (await held()) === 0);
    assert.equal(callsOf(bench).length, 0);
  });

  it("in a pause between attempts", async (t) => {
    const cut: ModelScript = ({ socket }) => void socket.destroy();
    const bench = await startBench(t, [cut], { retries: { backoff: "2s" }, health: { failures: 100 } });
    const calls = Array.from({ length: tries }, () => ask(bench, "chat", true));
    const retries = 'spillway_forward_retries_total{pool="m",reason="closed"}';
    await until("all have failed once", async () => (await sampleOf(bench.gateway, retries)) === tries);
    for (const call of calls) call.leave();
    const phase = 'spillway_forward_cancellations_total{pool="m",phase="backoff"}';
    await until("all are called off", async () => (await sampleOf(bench.gateway, phase)) === tries);
    await pause(2_100);
    assert.equal(callsOf(bench).length, tries);
    await checkRest(bench, "backoff");
  });
});
