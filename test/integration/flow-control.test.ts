/** Flow control from outside: who waits, what callers are told, whose work is called off, a pool without servers. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { startSimulator, type Simulator } from "@spillway/simulator";
import { parseConfig } from "../../packages/gateway/src/config/with-plugins.ts";
import { repositoryRoot, type TestGateway } from "../harness/gateway.ts";
import { startPooledGateway } from "../harness/pooled-gateway.ts";
import { until } from "../harness/until.ts";

const limit = { timeout: 60_000 };
const reason = "x-llm-d-request-dropped-reason";
const requests = { objectives: { interactive: 10, batch: -5 } };
const onePlace = { type: "concurrency-detector", parameters: { maxConcurrency: 1 } };

/** The first answer takes about so long, or all of them. */
async function simulate(t: TestContext, tookMs = 0, which: "first" | "all" = "all"): Promise<Simulator> {
  let answers = 0;
  const server = await startSimulator({
    face: "vllm",
    models: ["m"],
    engine: { stepMs: 10 },
    answer: () => ({ outputTokens: answers++ === 0 || which === "all" ? Math.max(1, tookMs / 10) : 1 }),
  });
  t.after(() => server.close());
  return server;
}

function startPool(t: TestContext, server: Simulator, flow: object): Promise<TestGateway> {
  const pool = { dialect: "openai", endpoints: [server.url], flow: { saturation: onePlace, ...flow } };
  return startPooledGateway(t, { pools: { chat: pool }, requests });
}

function chat(url: string, headers: Record<string, string> = {}, stream = false): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "m", stream, messages: [{ role: "user", content: "hello" }] }),
  });
}

const objective = (name: string) => ({ "x-llm-d-inference-objective": name });

async function waiting(gateway: TestGateway): Promise<number> {
  let sum = 0;
  for (const [name, { samples }] of await gateway.metrics()) {
    if (name !== "llm_d_epp_flow_control_queue_size") continue;
    for (const value of samples.values()) sum += value;
  }
  return sum;
}

describe("flow control from outside", limit, () => {
  test("the urgent go before those that came first, and a full line says where one would have stood", async (t) => {
    const server = await simulate(t, 3_000, "first");
    const gateway = await startPool(t, server, { maxRequests: 2 });
    const done: string[] = [];
    const ask = async (name: string): Promise<number> => {
      const response = await chat(gateway.url, objective(name));
      await response.text();
      done.push(name);
      return response.status;
    };
    const first = ask("interactive");
    await until("it runs", () => server.requests.all().some(({ path }) => path.endsWith("/completions")));
    const batch = ask("batch");
    await until("one waits", async () => (await waiting(gateway)) === 1);
    const urgent = ask("interactive");
    await until("both wait", async () => (await waiting(gateway)) === 2);
    const refused = await chat(gateway.url);
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get(reason), "rejected-saturated");
    assert.equal(refused.headers.get("x-spillway-queue-position"), "2");
    assert.ok(Number(refused.headers.get("retry-after")) >= 1);
    assert.match(await refused.text(), /"code":"saturated"/);
    assert.deepEqual(await Promise.all([first, batch, urgent]), [200, 200, 200]);
    assert.deepEqual(done, ["interactive", "interactive", "batch"]);
    assert.equal(await waiting(gateway), 0);
  });

  test("a request waits no longer than it says itself", async (t) => {
    const server = await simulate(t, 1_000);
    const gateway = await startPool(t, server, {});
    const first = chat(gateway.url);
    await until("it runs", () => server.requests.all().some(({ path }) => path.endsWith("/completions")));
    const late = await chat(gateway.url, { "x-llm-d-inference-ttl": "50ms" });
    assert.equal(late.status, 429);
    assert.equal(late.headers.get(reason), "rejected-ttl-expired");
    await late.text();
    assert.equal((await first).status, 200);
  });

  test("sheddable work under way is called off for what is urgent, and its caller told", async (t) => {
    const server = await simulate(t, 5_000);
    const gateway = await startPool(t, server, { eviction: "sheddable-eviction-filter" });
    const shed = chat(gateway.url, objective("batch"));
    await until("it runs", () => server.requests.all().some(({ path }) => path.endsWith("/completions")));
    const urgent = chat(gateway.url, objective("interactive"), true);
    const evicted = await shed;
    assert.equal(evicted.status, 429);
    assert.equal(evicted.headers.get(reason), "evicted");
    assert.match(await evicted.text(), /request evicted by flow control/);
    const answer = await urgent;
    assert.equal(answer.status, 200);
    await answer.body?.cancel();
  });

  test("a pool without servers lets requests wait for the first", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "spillway-flow-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "endpoints.yaml");
    const write = (endpoints: readonly object[]): void => {
      writeFileSync(join(folder, "next"), JSON.stringify({ endpoints }));
      renameSync(join(folder, "next"), path);
    };
    write([]);
    const discovery = { type: "file-discovery", parameters: { path } };
    const flow = { saturation: onePlace, noEndpointTtl: "30s" };
    const gateway = await startPooledGateway(t, {
      pools: { chat: { dialect: "openai", discovery, passthrough: true, flow } },
    });
    const patient = chat(gateway.url);
    await until("it waits", async () => (await waiting(gateway)) === 1);
    const server = await simulate(t);
    write([{ name: "first", address: "127.0.0.1", port: server.port, labels: {} }]);
    assert.equal((await patient).status, 200);
  });

  test("what the guide shows is accepted", () => {
    const guide = readFileSync(join(repositoryRoot, "docs/guides/flow-control.md"), "utf8");
    const example = /```yaml\n([^]*?)```/.exec(guide)?.[1] ?? assert.fail("no example");
    const result = parseConfig(example, { directory: repositoryRoot, environment: {} });
    assert.ok("config" in result, JSON.stringify(result));
  });
});
