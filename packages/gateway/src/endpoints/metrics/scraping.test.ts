import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { gzipSync } from "node:zlib";
import { describe, test, type TestContext } from "node:test";
import { createAuthority, type TestAuthority } from "../../../../../test/harness/certificates.ts";
import { parseExposition } from "../../../../../test/harness/exposition.ts";
import { openaiAnswers, startFakeServer } from "../../../test/support/fake-model-server.ts";
import { startMetricsServer } from "../../../test/support/metrics-server.ts";
import { eventually, startServerPool, type PoolUnderTest } from "../../../test/support/server-pool.ts";
import type { HttpPoolOptions } from "../../contracts/options.ts";
import type { DataSpec, DiscoveryListener, PageExtractor } from "../../contracts/plugins/data.ts";
import { countSent } from "../../core/server-signals.ts";

const limit = { timeout: 20_000 };

const data: DataSpec = {
  metrics: {
    scheme: undefined,
    path: "/metrics",
    port: undefined,
    intervalMs: 50,
    insecureSkipVerify: true,
    ca: undefined,
    staleAfterMs: 400,
  },
  engineLabel: "llm-d.ai/engine-type",
  defaultEngine: "vllm",
  engines: [],
  discovery: undefined,
};

function page(waiting: number, more = ""): string {
  return `vllm:num_requests_waiting{engine="0"} ${waiting}.0\n${more}`;
}

/** A pool that takes any model and reads the metrics of these servers. */
function startScrapedPool(
  t: TestContext,
  servers: readonly { readonly url: string }[],
  more: Parameters<typeof startServerPool>[2] = {},
): Promise<PoolUnderTest> {
  const endpoints = servers.map(({ url }) => url);
  return startServerPool(t, { dialect: "auto", endpoints, passthrough: true, data }, more);
}

/** A value of a family in the gateway's own metrics. */
function sample({ metrics }: PoolUnderTest, series: string): number | undefined {
  const families = [...parseExposition(metrics.render()).values()];
  return families.map(({ samples }) => samples.get(series)).find((value) => value !== undefined);
}

/** Pages over TLS, from a server that is called `metrics.test`; `shown`: names of the certificates that it was shown. */
async function startSecureServer(t: TestContext, authority: TestAuthority, body: string) {
  const shown = new Set<string>();
  const options = { ...authority.issue("metrics.test"), requestCert: true, rejectUnauthorized: false };
  const server = createServer(options, ({ socket }, response) => {
    if (socket instanceof TLSSocket) shown.add(String(socket.getPeerCertificate().subject?.CN));
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, shown };
}

describe("pages of metrics", limit, () => {
  test("are read by plugins too; what they tell gets stale, and one that throws holds nobody up", async (t) => {
    const server = await startMetricsServer(t, page(3, "watts 120\n"));
    const reads: PageExtractor = {
      extract(bytes, { address }, tell) {
        const at = bytes.indexOf("\nwatts ");
        if (at >= 0) tell("watts", Number.parseFloat(bytes.toString("latin1", at + 7)));
        tell("nothing", Number.NaN);
        tell(address, 1);
      },
    };
    const throws: PageExtractor = {
      extract() {
        throw new Error("no");
      },
    };
    const under = await startScrapedPool(t, [server], {
      extractors: [
        { type: "throws", extractor: throws },
        { type: "reads", extractor: reads },
      ],
    });
    const [endpoint] = under.pool.endpoints;
    assert.ok(endpoint);
    await eventually(
      () => endpoint.signals.custom.get("watts"),
      (watts) => watts === 120,
    );
    assert.deepEqual([endpoint.signals.waiting, endpoint.signals.custom.has("nothing")], [3, false]);
    const failed =
      'llm_d_epp_datalayer_extract_errors_total{source_type="metrics-data-source",extractor_type="throws"}';
    await eventually(
      () => sample(under, failed) ?? 0,
      (count) => count > 1,
    );
    assert.equal(under.log.filter((line) => line.startsWith("extractor_failed")).length, 1);
    server.answer = page(3);
    await eventually(
      () => endpoint.signals.custom.has("watts"),
      (has) => !has,
    );
  });

  test("become signals, over one connection, one page at a time", async (t) => {
    const server = await startMetricsServer(t, page(3));
    const { pool } = await startScrapedPool(t, [server]);
    const [endpoint] = pool.endpoints;
    assert.ok(endpoint);
    await eventually(
      () => endpoint.signals.waiting,
      (waiting) => waiting === 3,
    );
    server.answer = page(8);
    await eventually(
      () => endpoint.signals.waiting,
      (waiting) => waiting === 8,
    );
    await eventually(
      () => server.counts.asked,
      (asked) => asked >= 6,
    );
    assert.equal(server.counts.connections, 1);
    assert.equal(server.counts.atOnce, 1);
  });

  test("larger than a socket's buffer, in chunks that end anywhere", async (t) => {
    const filler = '# HELP filler Filler.\nfiller{le="0.1"} 1.0\n'.repeat(10_000);
    const body = Buffer.from(page(5, filler) + 'vllm:num_requests_running{engine="0"} 4.0\n');
    const server = await startMetricsServer(t, (response) => {
      for (let at = 0; at < body.length; at += 7_919) response.write(body.subarray(at, at + 7_919));
      response.end();
    });
    const { pool } = await startScrapedPool(t, [server]);
    const [endpoint] = pool.endpoints;
    await eventually(
      () => endpoint?.signals.running,
      (running) => running === 4,
    );
    assert.equal(endpoint?.signals.waiting, 5);
  });

  test("that do not come are counted by why, and what was told gets stale", async (t) => {
    const server = await startMetricsServer(t, page(3));
    const under = await startScrapedPool(t, [server]);
    const [endpoint] = under.pool.endpoints;
    assert.ok(endpoint);
    const of = (result: string): number =>
      sample(
        under,
        `spillway_endpoint_scrapes_total{pool="chat",endpoint="127.0.0.1:${server.port}",result="${result}"}`,
      ) ?? 0;
    await eventually(
      () => endpoint.signals.waiting,
      (waiting) => waiting === 3,
    );
    server.answer = (response) => response.writeHead(500).end("no");
    await eventually(
      () => of("refused"),
      (count) => count > 0,
    );
    server.answer = (response) =>
      response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(page(9)));
    await eventually(
      () => of("encoded"),
      (count) => count > 0,
    );
    server.answer = (response) => {
      response.writeHead(200, { "content-length": "1000" }).write(page(9));
      response.destroy();
    };
    await eventually(
      () => of("closed"),
      (count) => count > 0,
    );
    server.answer = (response) => {
      response.on("error", () => {});
      const write = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 0x23)));
        response.once("drain", write);
      };
      write();
    };
    await eventually(
      () => of("too-large"),
      (count) => count > 0,
    );
    server.answer = () => {};
    await eventually(
      () => of("timeout"),
      (count) => count > 0,
    );
    await server.kill();
    await eventually(
      () => of("connect"),
      (count) => count > 0,
    );
    assert.ok(Number.isNaN(endpoint.signals.waiting), "a page that was cut, or too old, tells nothing");
    assert.equal(sample(under, 'spillway_pool_stale_endpoints{pool="chat"}'), 1);
    assert.ok(
      (sample(under, 'llm_d_epp_datalayer_poll_errors_total{source_type="metrics-data-source"}') ?? 0) >= 6,
    );
    server.answer = page(4);
    await server.revive();
    await eventually(
      () => endpoint.signals.waiting,
      (waiting) => waiting === 4,
    );
    assert.equal(sample(under, 'spillway_pool_stale_endpoints{pool="chat"}'), 0);
  });

  test("are asked for less and less often of a server that is away", async (t) => {
    const server = await startMetricsServer(t, (response) => response.writeHead(503).end());
    const { pool } = await startScrapedPool(t, [server]);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    assert.ok(server.counts.asked >= 3 && server.counts.asked <= 9, `asked ${server.counts.asked} times`);
    assert.equal(pool.endpoints[0]?.state, "unhealthy");
  });

  test("without anything that was looked for are told of once", async (t) => {
    const server = await startMetricsServer(t, "up 1\n");
    const under = await startScrapedPool(t, [server]);
    const series =
      'llm_d_epp_datalayer_extract_errors_total{source_type="metrics-data-source",extractor_type="core-metrics-extractor"}';
    await eventually(
      () => sample(under, series) ?? 0,
      (count) => count > 2,
    );
    const told = under.log.filter((line) => line.startsWith("metrics_tell_nothing"));
    assert.deepEqual(told, [`metrics_tell_nothing 127.0.0.1:${server.port} vllm`]);
  });

  test("count what was sent before they were asked for, and nothing that came later", async (t) => {
    let answer: (() => void) | undefined;
    const server = await startMetricsServer(t, (response) => void (answer = () => response.end(page(1))));
    const { pool } = await startScrapedPool(t, [server]);
    const [endpoint] = pool.endpoints;
    assert.ok(endpoint);
    countSent(endpoint.load);
    await eventually(
      () => answer,
      (given) => given !== undefined,
    );
    countSent(endpoint.load);
    assert.equal(endpoint.load.sentSinceScrape, 2);
    answer?.();
    await eventually(
      () => endpoint.signals.waiting,
      (waiting) => waiting === 1,
    );
    assert.equal(endpoint.load.sentSinceScrape, 1);
  });
});

describe("where pages are read", limit, () => {
  test("stand at another port and path where that is configured", async (t) => {
    const models = await startFakeServer(t, openaiAnswers(["m"]));
    const server = await startMetricsServer(t, page(6), "/own/page");
    const elsewhere = {
      ...data,
      metrics: data.metrics && { ...data.metrics, port: server.port, path: "/own/page" },
    };
    const { pool } = await startServerPool(t, {
      dialect: "openai",
      endpoints: [`${models.url}/base`],
      headers: [],
      data: elsewhere,
    });
    await eventually(
      () => pool.endpoints[0]?.signals.waiting,
      (waiting) => waiting === 6,
    );
  });

  test("over TLS: trusted by the pool's authority, or by one of their own, or not looked at; a client's certificate is shown", async (t) => {
    const authority = createAuthority(t);
    if (authority === undefined) return;
    const { port, shown } = await startSecureServer(t, authority, page(7));
    const own = data.metrics;
    assert.ok(own);
    const told = async (pool: Partial<HttpPoolOptions>, metrics: Partial<typeof own>): Promise<number> => {
      const { pool: made } = await startServerPool(t, {
        dialect: "auto",
        endpoints: [`https://127.0.0.1:${port}`],
        passthrough: true,
        data: { ...data, metrics: { ...own, insecureSkipVerify: false, ...metrics } },
        ...pool,
      });
      const [endpoint] = made.endpoints;
      assert.ok(endpoint);
      await eventually(() => endpoint.signals.waiting === 7 || endpoint.state === "unhealthy", Boolean);
      return endpoint.signals.waiting;
    };
    assert.equal(await told({ ca: authority.file, serverName: "metrics.test" }, {}), 7);
    assert.equal(await told({ serverName: "metrics.test" }, { ca: authority.file }), 7);
    assert.equal(await told({}, { insecureSkipVerify: true }), 7);
    assert.ok(Number.isNaN(await told({ serverName: "metrics.test" }, {})));
    assert.ok(Number.isNaN(await told({ ca: authority.file, serverName: "another.test" }, {})));
    const other = { endpoints: ["http://127.0.0.1:9"], serverName: "metrics.test" };
    assert.equal(await told(other, { scheme: "https", port, ca: authority.file }), 7);
    const client = authority.issue("client.test");
    const folder = mkdtempSync(join(tmpdir(), "spillway-scrape-"));
    t.after(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, "cert"), client.cert);
    writeFileSync(join(folder, "key"), client.key);
    const clientCert = join(folder, "cert");
    assert.equal(await told({}, { insecureSkipVerify: true, clientCert, clientKey: join(folder, "key") }), 7);
    assert.ok(shown.has("client.test"));
  });

  test("beside the list of models: they change nothing of how a server is that is asked for it", async (t) => {
    const server = await startFakeServer(t, { ...openaiAnswers(["m"]), "/metrics": [500, "no"] });
    const { pool, states } = await startServerPool(t, { dialect: "openai", endpoints: [server.url], data });
    await eventually(
      () => server.asked.filter((line) => line.includes("/metrics")).length,
      (count) => count > 3,
    );
    assert.deepEqual(states(), [`127.0.0.1:${server.port} ready`]);
    assert.equal(pool.candidatesFor("m").length, 1);
  });
});

describe("servers that take any model", limit, () => {
  test("are routable as soon as a page has come, and follow their pages from there", async (t) => {
    const server = await startMetricsServer(t, page(0));
    const { pool } = await startScrapedPool(t, [server]);
    assert.equal(pool.answered && pool.settled, true);
    await eventually(
      () => pool.candidatesFor("whatever").length,
      (count) => count === 1,
    );
    assert.equal(pool.endpointsFor("meta/llama"), pool.endpointsFor("another"));
    assert.deepEqual(pool.endpoints[0]?.targetFor("an-adapter"), {
      dialect: "openai",
      serves: [],
      model: "an-adapter",
    });
    await server.kill();
    await eventually(
      () => pool.endpoints[0]?.state,
      (state) => state === "unhealthy",
    );
    await server.revive();
    await eventually(
      () => pool.endpoints[0]?.state,
      (state) => state === "ready",
    );
  });

  test("that have no metrics are well all the same; a list of models is a bound", async (t) => {
    const server = await startMetricsServer(t, page(0), "/elsewhere");
    const { pool } = await startServerPool(t, {
      dialect: "auto",
      endpoints: [server.url],
      passthrough: true,
      models: ["m"],
      data,
    });
    await eventually(
      () => pool.candidatesFor("m").length,
      (count) => count === 1,
    );
    assert.equal(pool.endpointsFor("other").length, 0);
    const { pool: bare } = await startServerPool(t, {
      dialect: "auto",
      endpoints: ["http://127.0.0.1:9"],
      passthrough: true,
    });
    assert.equal(bare.candidatesFor("any").length, 1, "nobody reads metrics: attempts tell how it is");
  });
});

describe("discovery", limit, () => {
  test("gives endpoints with names and labels, which may change; engines follow labels", async (t) => {
    const vllm = await startMetricsServer(t, page(3));
    const sglang = await startMetricsServer(t, `sglang:num_queue_reqs 7.0\n${page(1)}`);
    let listener: DiscoveryListener | undefined;
    let isClosed = false;
    const discovery = {
      start: (given: DiscoveryListener) => {
        listener = given;
        return Promise.resolve();
      },
      close: () => void (isClosed = true),
    };
    const signals: string[] = [];
    const gate = {
      changed: () => void signals.push("changed"),
      refuse: () => undefined,
      waitsForEndpoints: false,
      mayDispatch: () => true,
      granted: () => ({ ended: () => {} }),
      onOpening: () => {},
    };
    const { pool, log } = await startServerPool(
      t,
      { dialect: "auto", endpoints: [], passthrough: true, data },
      { discovery, gate },
    );
    const place = (name: string, port: number, labels: Record<string, string> = {}) => ({
      name,
      namespace: "default",
      address: "127.0.0.1",
      port,
      labels,
    });
    listener?.found([
      place("a", vllm.port),
      place("b", sglang.port, { "llm-d.ai/engine-type": "sglang", role: "decode" }),
    ]);
    const [a, b] = pool.endpoints;
    assert.ok(a && b);
    assert.deepEqual([a.placeName?.name, b.labels["role"]], ["a", "decode"]);
    await eventually(
      () => [a.signals.waiting, b.signals.waiting].join(),
      (told) => told === "3,7",
    );
    assert.ok(signals.length > 2);
    listener?.found([place("a2", vllm.port, { zone: "x" }), place("b", sglang.port)]);
    assert.equal(pool.endpoints[0], a, "a server that is named anew is the same server");
    assert.deepEqual([a.placeName?.name, a.labels], ["a2", { zone: "x" }]);
    await eventually(
      () => b.signals.waiting,
      (waiting) => waiting === 1,
    );
    listener?.found([place("b", sglang.port, { "llm-d.ai/engine-type": "unheard-of" })]);
    assert.deepEqual(pool.endpoints, [b]);
    assert.ok(log.includes(`metrics_engine_unknown 127.0.0.1:${sglang.port} unheard-of`));
    listener?.failed("the file is bad");
    assert.ok(log.includes("pool_discovery_failed"));
    pool.close();
    assert.equal(isClosed, true);
    const { asked } = sglang.counts;
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(sglang.counts.asked, asked, "a closed pool asks nobody");
  });
});
