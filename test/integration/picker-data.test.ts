/** The data layer from outside: what simulated servers tell, servers that a file names, scarcity, one's own mapping. */
import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { startSimulator, type Simulator } from "@spillway/simulator";
import { startMetricsServer } from "../../packages/gateway/test/support/metrics-server.ts";
import type { TestGateway } from "../harness/gateway.ts";
import { startPooledGateway } from "../harness/pooled-gateway.ts";
import { until } from "../harness/until.ts";

const limit = { timeout: 60_000 };
const metrics = { engine: "vllm", interval: "50ms" };

function simulate(t: TestContext, answer = { outputTokens: 5 }, stepMs = 2): Promise<Simulator> {
  const started = startSimulator({ face: "vllm", models: ["m"], engine: { stepMs }, answer: () => answer });
  t.after(async () => (await started).close());
  return started;
}

function chat(url: string, model = "m"): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] }),
  });
}

/** A series of the gateway's own metrics. */
async function series(gateway: TestGateway, name: string): Promise<number | undefined> {
  const families = [...(await gateway.metrics()).values()];
  return families.map(({ samples }) => samples.get(name)).find((value) => value !== undefined);
}

function addressOf({ url }: Pick<Simulator, "url">): string {
  return new URL(url).host;
}

describe("what servers tell of themselves", limit, () => {
  test("follows what they do, for whomever they do it", async (t) => {
    const busy = await simulate(t, { outputTokens: 400 }, 20);
    const idle = await simulate(t);
    const gateway = await startPooledGateway(t, {
      pools: { chat: { dialect: "openai", endpoints: [busy.url, idle.url], metrics } },
    });
    const running = (server: Simulator) =>
      series(
        gateway,
        `spillway_endpoint_server_running_requests{pool="chat",endpoint="${addressOf(server)}"}`,
      );
    await until("both have told", async () => (await running(busy)) === 0 && (await running(idle)) === 0);
    const calls = Array.from({ length: 3 }, async () => (await chat(busy.url)).text());
    await until("the busy one tells of its work", async () => (await running(busy)) === 3);
    assert.equal(await running(idle), 0);
    const usage = `spillway_endpoint_kv_cache_usage_ratio{pool="chat",endpoint="${addressOf(busy)}"}`;
    assert.ok(((await series(gateway, usage)) ?? 0) > 0);
    busy.dropConnections();
    await Promise.allSettled(calls);
    await until("it tells that it is idle again", async () => (await running(busy)) === 0);
    assert.equal(await series(gateway, 'spillway_pool_stale_endpoints{pool="chat"}'), 0);
  });

  test("under names of one's own; servers that are full make their model scarce", async (t) => {
    const page = (queued: number): string =>
      `own_requests{state="queued"} ${queued}\nown_requests{state="running"} 4\n`;
    const server = await startMetricsServer(t, page(0));
    const gateway = await startPooledGateway(t, {
      pools: {
        chat: {
          dialect: "openai",
          endpoints: [server.url],
          passthrough: true,
          metrics: {
            ...metrics,
            engine: "own",
            engines: {
              own: { waiting: 'own_requests{state="queued"}', running: 'own_requests{state="running"}' },
            },
          },
        },
      },
    });
    const regime = (name: string) =>
      series(gateway, `spillway_model_scarcity{pool="chat",model="*",regime="${name}"}`);
    await until("there is plenty", async () => (await regime("plenty")) === 1);
    server.answer = page(25);
    await until("it is scarce", async () => (await regime("scarce")) === 1);
    const wanted = 'spillway_model_replicas_wanted{pool="chat",model="*"}';
    await until("more servers are wanted", async () => ((await series(gateway, wanted)) ?? 0) > 1);
    assert.equal(await series(gateway, 'spillway_model_saturation_eta_seconds{pool="chat",model="*"}'), 0);
  });
});

describe("a file of endpoints", limit, () => {
  test("is routable at once, for any model, and followed as it changes", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "spillway-endpoints-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "endpoints.yaml");
    const [one, two] = await Promise.all([simulate(t), simulate(t)]);
    const write = (...servers: Simulator[]): void => {
      const endpoints = servers.map(({ port }) => ({
        name: `s${port}`,
        address: "127.0.0.1",
        port,
        labels: { zone: "a" },
      }));
      writeFileSync(join(folder, "next"), JSON.stringify({ endpoints }));
      renameSync(join(folder, "next"), path);
    };
    write(one);
    const gateway = await startPooledGateway(t, {
      pools: {
        chat: {
          dialect: "openai",
          discovery: { type: "file-discovery", parameters: { path } },
          passthrough: true,
          metrics,
        },
      },
    });
    const first = await chat(gateway.url);
    assert.equal(first.status, 200, await first.clone().text());
    const other = await chat(gateway.url, "an-adapter-nobody-listed");
    assert.match(await other.text(), /an-adapter-nobody-listed/, "the server itself says what it has not");
    const stateOf = (server: Simulator) =>
      series(gateway, `spillway_endpoint_state{pool="chat",endpoint="${addressOf(server)}",state="ready"}`);
    write(two);
    await until(
      "the second is asked",
      async () => (await stateOf(two)) === 1 && (await stateOf(one)) === undefined,
    );
    const before = one.requests.all().length;
    assert.equal((await chat(gateway.url)).status, 200);
    assert.equal(chatsOf(one, before), 0);
    writeFileSync(path, "endpoints: [");
    await until("the bad file is told", () =>
      gateway.events.some(
        ({ event, fields }) =>
          event === "pool_discovery_failed" && JSON.stringify(fields).includes("are kept"),
      ),
    );
    assert.equal((await chat(gateway.url)).status, 200, "what was known stays");
    write();
    await until("nobody is left", async () => (await stateOf(two)) === undefined);
    write(one, two);
    await until("both are asked", async () => (await stateOf(one)) === 1 && (await stateOf(two)) === 1);
    assert.equal((await chat(gateway.url)).status, 200);
  });
});

/** Chats that a server got after its first `before` requests. */
function chatsOf({ requests }: Simulator, before: number): number {
  return requests
    .all()
    .slice(before)
    .filter(({ path }) => path.includes("/chat/")).length;
}
