// Servers that fail, refuse for now, load and recover, through a whole gateway: what is tried again and
// when, how much of it, who is left alone, and who finds out that a server is well again.
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startSimulator } from "@spillway/simulator";
import { callers, type CallerName } from "../harness/chat-wire.ts";
import { sampleOf } from "../harness/dialect-cells.ts";
import { startCall, type ForwardCall } from "../harness/forward-call.ts";
import type { TestGateway } from "../harness/gateway.ts";
import { startLoad } from "../harness/load.ts";
import { startPooledGateway } from "../harness/pooled-gateway.ts";
import {
  answerWhole,
  openWithContent,
  startScriptedModel,
  type ModelScript,
  type ScriptedModel,
} from "../harness/scripted-model.ts";
import { until } from "../harness/until.ts";

/** A gateway over one pool `m` of scripted servers, which has the model `m`. */
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
  const m = { dialect: "openai", endpoints, models: ["m"], serves: ["chat", "responses"], ...pool };
  return { servers, gateway: await startPooledGateway(t, { pools: { m } }) };
}

function ask({ gateway }: Bench, caller: CallerName = "chat", stream = true): ForwardCall {
  const { path, body } = callers[caller];
  return startCall(gateway.url, { path, body: body("m", stream) });
}

/** The answer is whole and good. */
async function good(call: ForwardCall): Promise<ForwardCall> {
  await call.ended();
  assert.equal(call.status, 200, call.text);
  assert.ok(callers.chat.isWhole(call.text), call.text);
  return call;
}

const cut: ModelScript = ({ socket }) => void socket.destroy();

const refuse =
  (status: number, retryAfter?: string): ModelScript =>
  ({ response }) => {
    const headers = retryAfter === undefined ? {} : { "retry-after": retryAfter };
    response.writeHead(status, headers).end();
  };

const stateOf = ({ gateway }: Bench, index: number): string | undefined =>
  gateway.forward.pools()[0]?.endpoints[index]?.state;

describe("a server's Retry-After", () => {
  const later = (): string => new Date(Date.now() + 2_000).toUTCString();
  for (const [form, status, value] of [
    ["in seconds", 429, () => "1"],
    ["as a date", 429, later],
    ["of a server that is busy", 503, () => "1"],
  ] as const) {
    it(`${form} is waited for where there is no other server`, async (t) => {
      const bench = await startBench(t, [answerWhole]);
      const [server] = bench.servers;
      assert.ok(server !== undefined);
      let refusedAt = 0;
      let againAt = 0;
      server.script = (call) => {
        if (server.calls.length > 1) {
          againAt = performance.now();
          return answerWhole(call);
        }
        refusedAt = performance.now();
        refuse(status, value())(call);
      };
      const call = await good(ask(bench));
      assert.equal(call.headers["x-spillway-attempts"], "2");
      assert.ok(againAt - refusedAt >= 990, `asked again after ${againAt - refusedAt} ms`);
    });
  }

  it("is no wait where another server is well, and the first is left alone for as long", async (t) => {
    const bench = await startBench(t, [refuse(429, "2"), refuse(429, "2")]);
    const [one, other] = bench.servers;
    assert.ok(one !== undefined && other !== undefined);
    const start = performance.now();
    // Whichever is asked first says 429; the second answers.
    const calls = (): number => one.calls.length + other.calls.length;
    for (const server of bench.servers) {
      server.script = (call) => (calls() === 1 ? refuse(429, "2")(call) : answerWhole(call));
    }
    const call = await good(ask(bench));
    assert.equal(call.headers["x-spillway-attempts"], "2");
    const refused =
      one.calls.length === 1 &&
      String(call.headers["x-spillway-endpoint"]).endsWith(String(other.server.port))
        ? one
        : other;
    for (let turn = 0; turn < 10; turn++) await good(ask(bench));
    if (performance.now() - start < 1_900) assert.equal(refused.calls.length, 1);
  });

  it("that is long is told to the caller, and to those who come after without asking the server", async (t) => {
    const bench = await startBench(t, [refuse(429, "30")]);
    const first = await ask(bench).ended();
    assert.equal(first.status, 429);
    assert.equal(first.headers["retry-after"], "30");
    assert.ok(callers.chat.errorOf(first.text).length > 0);
    const second = await ask(bench).ended();
    assert.equal(second.status, 503);
    assert.ok(Number(second.headers["retry-after"]) > 25, String(second.headers["retry-after"]));
    assert.equal(bench.servers[0]?.calls.length, 1);
    assert.equal(stateOf(bench, 0), "rate-limited");
  });
});

describe("an outage", () => {
  it("of servers that answer nothing good is amplified by a fifth and a few at most", async (t) => {
    const bench = await startBench(t, [cut, cut, cut], { retries: { max: 10, backoff: "1ms" } });
    const requests = 200;
    const start = performance.now();
    let left = requests;
    const statuses: number[] = [];
    const one = async (): Promise<void> => {
      while (left-- > 0) statuses.push((await ask(bench).ended()).status);
    };
    await Promise.all(Array.from({ length: 10 }, one));
    const seconds = (performance.now() - start) / 1_000;
    assert.ok(
      statuses.every((status) => status === 502 || status === 503),
      String(statuses),
    );
    const attempts = bench.servers.reduce((sum, { calls }) => sum + calls.length, 0);
    // A fifth of the requests, and three a second over ten seconds; as much again if it took longer than that.
    const allowed = requests * 1.2 + 30 * Math.ceil(seconds / 10) + 1;
    assert.ok(attempts <= allowed, `${attempts} attempts, ${allowed} allowed`);
    assert.ok(attempts > requests / 2, `${attempts} attempts: servers are asked however many are ejected`);
    const exhausted = 'spillway_forward_retry_budget_exhausted_total{pool="m"}';
    assert.ok((await sampleOf(bench.gateway, exhausted)) > 0);
  });

  it("never empties the pool: what is ejected is asked all the same, and answers as soon as it can", async (t) => {
    const health = { interval: "1h", failures: 2, backoff: { initial: "1h", max: "1h" } };
    const bench = await startBench(t, [cut, cut], { health, retries: { max: 1, backoff: "1ms" } });
    const unhealthy = (): boolean => [0, 1].every((index) => stateOf(bench, index) === "unhealthy");
    for (let turn = 0; turn < 10 && !unhealthy(); turn++) await ask(bench).ended();
    assert.ok(unhealthy());
    const asked = bench.servers.reduce((sum, { calls }) => sum + calls.length, 0);
    assert.equal((await ask(bench).ended()).status, 502);
    assert.ok(bench.servers.reduce((sum, { calls }) => sum + calls.length, 0) > asked);
    for (const server of bench.servers) server.script = answerWhole;
    await good(ask(bench));
  });

  it("of servers that are gone is told at once, with when to come back", async (t) => {
    const bench = await startBench(t, [answerWhole, answerWhole]);
    await Promise.all(bench.servers.map(({ server }) => server.close()));
    for (const caller of ["chat", "messages", "ollama chat"] as const) {
      const call = await ask(bench, caller).ended();
      // Anthropic's own status for a server that is overloaded.
      assert.equal(call.status, caller === "messages" ? 529 : 503, call.text);
      assert.ok(Number(call.headers["retry-after"]) >= 1);
      assert.ok(callers[caller].errorOf(call.text).length > 0);
    }
  });
});

describe("a server that was ejected", () => {
  it("is tried by one request alone, and is back once that is answered", async (t) => {
    const health = { interval: "100ms", failures: 3, backoff: { initial: "100ms", max: "100ms" } };
    const bench = await startBench(t, [cut, answerWhole], { health, retries: { backoff: "1ms" } });
    const [sick, well] = bench.servers;
    assert.ok(sick !== undefined && well !== undefined);
    await until("it is ejected", async () => {
      await good(ask(bench));
      return stateOf(bench, 0) === "unhealthy";
    });
    // From now on it says nothing, so that its trial lasts.
    const before = sick.calls.length;
    sick.script = () => undefined;
    const open: ForwardCall[] = [];
    await until("one request tries it", async () => {
      open.push(ask(bench));
      await pause(5);
      return sick.calls.length > before;
    });
    const more = Array.from({ length: 30 }, () => ask(bench));
    await Promise.all(more.map(good));
    assert.equal(sick.calls.length, before + 1);
    assert.equal(stateOf(bench, 0), "unhealthy");
    // Not even further attempts go there: what the other server fails is tried there again.
    let turn = 0;
    well.script = (call) => (turn++ % 2 === 0 ? cut(call) : answerWhole(call));
    for (let request = 0; request < 3; request++) {
      assert.equal((await good(ask(bench))).headers["x-spillway-attempts"], "2");
    }
    well.script = answerWhole;
    assert.equal(sick.calls.length, before + 1);
    const trial = sick.calls.at(-1);
    assert.ok(trial !== undefined);
    sick.script = answerWhole;
    answerWhole(trial);
    await Promise.all(open.map(good));
    await until("it is back", () => stateOf(bench, 0) === "ready");
    await well.server.close();
    await good(ask(bench));
    assert.ok(sick.calls.length > before + 1);
  });

  it("is one that was killed under load: no caller sees an error before the first content", async (t) => {
    const simulators = await Promise.all(
      Array.from({ length: 3 }, () => startSimulator({ face: "vllm", models: ["m"], record: false })),
    );
    for (const simulator of simulators) t.after(() => simulator.close());
    const pool = { dialect: "openai", endpoints: simulators.map(({ url }) => url), models: ["m"] };
    const gateway = await startPooledGateway(t, { pools: { m: { ...pool, health: { interval: "200ms" } } } });
    const bench: Bench = { gateway, servers: [] };
    const load = startLoad(8, () => ask(bench).ended());
    await until("it runs", () => load.answers.length > 30);
    const [victim] = simulators;
    victim?.down();
    victim?.dropConnections();
    const before = load.answers.length;
    await until("it runs on", () => load.answers.length > before + 60);
    await victim?.up();
    const port = String(victim?.port);
    await until("it is asked again", () =>
      load.answers
        .slice(before + 60)
        .some(({ headers }) => String(headers["x-spillway-endpoint"]).endsWith(port)),
    );
    await load.stop();
    for (const call of load.answers) {
      assert.equal(call.status, 200, call.text);
      const { isWhole, endsInError, textOf } = callers.chat;
      assert.ok(isWhole(call.text) || (endsInError(call.text) && textOf(call.text) !== ""), call.text);
    }
  });
});

it("a keep-alive connection that its server closes as it is used again costs no caller an answer", async (t) => {
  const simulator = await startSimulator({
    face: "vllm",
    models: ["m"],
    faults: [{ closeOnReuse: true, path: "/v1/chat" }],
  });
  t.after(() => simulator.close());
  const pool = { dialect: "openai", endpoints: [simulator.url], models: ["m"], health: { failures: 100 } };
  const gateway = await startPooledGateway(t, { pools: { m: pool } });
  const bench: Bench = { gateway, servers: [] };
  const attempts: unknown[] = [];
  for (let turn = 0; turn < 20; turn++) {
    attempts.push((await good(ask(bench, "chat"))).headers["x-spillway-attempts"]);
  }
  assert.ok(attempts.includes("2"), String(attempts));
});

it("a call that leaves something behind on the server is not sent twice", async (t) => {
  const bench = await startBench(t, [cut, cut]);
  const body = { model: "m", input: "Keep this", store: true };
  const call = await startCall(bench.gateway.url, { path: "/v1/responses", body }).ended();
  assert.equal(call.status, 502);
  assert.equal(
    bench.servers.reduce((sum, { calls }) => sum + calls.length, 0),
    1,
  );
});

it("nothing is tried again once content has been passed on", async (t) => {
  const late: ModelScript = (call) => openWithContent(call).socket?.destroySoon();
  const bench = await startBench(t, [late, late]);
  const call = await ask(bench).ended();
  assert.ok(callers.chat.endsInError(call.text), call.text);
  assert.equal(
    bench.servers.reduce((sum, { calls }) => sum + calls.length, 0),
    1,
  );
});

it("a server that loads a model for many of its probes' time is neither ejected nor failed", async (t) => {
  const models = [{ name: "m:latest", loadMs: 2_000 }];
  const simulator = await startSimulator({ face: "ollama", models });
  t.after(() => simulator.close());
  const health = { interval: "100ms", timeout: "1s", failures: 1, backoff: { initial: "10ms" } };
  const pool = { dialect: "ollama", endpoints: [simulator.url], health, timeouts: { firstToken: "20s" } };
  const gateway = await startPooledGateway(t, { pools: { m: pool } });
  const bench: Bench = { gateway, servers: [] };
  const start = performance.now();
  const calls = Array.from({ length: 8 }, (_, turn) => ask(bench, turn % 2 === 0 ? "ollama chat" : "chat"));
  const states = new Set<string | undefined>();
  while (calls.some(({ hasEnded }) => !hasEnded)) {
    states.add(stateOf(bench, 0));
    await pause(20);
  }
  assert.ok(performance.now() - start > 1_900);
  for (const [turn, call] of calls.entries()) {
    assert.equal(call.status, 200, call.text);
    assert.ok(callers[turn % 2 === 0 ? "ollama chat" : "chat"].isWhole(call.text));
  }
  assert.deepEqual([...states], ["ready"]);
  const moved = gateway.events.filter(
    ({ event, fields }) => event === "endpoint_state" && fields["state"] !== "ready",
  );
  assert.deepEqual(moved, []);
});

it("a mistake of callers that Ollama answers with 500 ejects no server and is told as it came", async (t) => {
  const text = JSON.stringify({ error: "invalid JSON schema in format" });
  const mistaken: ModelScript = ({ response }) =>
    void response.writeHead(500, { "content-type": "application/json" }).end(text);
  const bench = await startBench(t, [mistaken, mistaken], { dialect: "ollama" });
  for (let i = 0; i < 12; i++) {
    const call = ask(bench, "ollama chat");
    await call.ended();
    assert.deepEqual([call.status, call.text], [500, text]);
  }
  assert.deepEqual([stateOf(bench, 0), stateOf(bench, 1)], ["ready", "ready"]);
  const outcome = 'spillway_forward_requests_total{pool="m",model="m",outcome="bad_request"}';
  assert.equal(await sampleOf(bench.gateway, outcome), 12);
});
