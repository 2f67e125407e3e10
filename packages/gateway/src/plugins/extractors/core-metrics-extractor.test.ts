import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PluginHost } from "../../contracts/plugins/plugin.ts";
import { metricsDataSource } from "../sources/metrics-data-source.ts";
import { coreMetricsExtractor } from "./core-metrics-extractor.ts";
import { parseMetricSpec } from "./parse-metric-spec.ts";

const host = {} as PluginHost;

describe("specifications of metrics", () => {
  test("a name, with or without labels, quoted or not", () => {
    assert.deepEqual(parseMetricSpec("vllm:num_requests_waiting"), {
      metric: "vllm:num_requests_waiting",
      labels: {},
    });
    assert.deepEqual(parseMetricSpec(' m { a = b , c="d,\\"}" } '), {
      metric: "m",
      labels: { a: "b", c: 'd,"}' },
    });
    assert.deepEqual(parseMetricSpec("m{}"), { metric: "m", labels: {} });
    assert.deepEqual(parseMetricSpec("m{a=b,}"), { metric: "m", labels: { a: "b" } });
  });

  test("anything else is none", () => {
    for (const text of ["", "1m", "m{", "m{a}", "m{a=b c=d}", "m{a=b}x", "m n", 'm{a="b}'])
      assert.equal(parseMetricSpec(text), undefined, text);
  });
});

describe("core-metrics-extractor", () => {
  test("engines of the configuration", () => {
    const given = coreMetricsExtractor.parameters.parse({
      defaultEngine: "mine",
      engineConfigs: [
        {
          name: "mine",
          queuedRequestsSpec: "my_queue{state=waiting}",
          cacheInfoSpec: "my_cache",
          cacheBlockSizeLabelName: "page",
          loraSpec: "my_lora",
          customMetrics: [{ attributeKey: "power", metricSpec: "my_watts" }],
        },
      ],
    });
    const made = coreMetricsExtractor.create(given, host);
    assert.equal(made.engineLabel, "llm-d.ai/engine-type");
    assert.equal(made.defaultEngine, "mine");
    assert.deepEqual(made.engines[0]?.metrics, [
      { signal: "waiting", metric: "my_queue", labels: { state: "waiting" } },
      { signal: "blockTokens", metric: "my_cache", labels: {}, valueLabel: "page" },
      { signal: "blocks", metric: "my_cache", labels: {}, valueLabel: "num_gpu_blocks" },
      { signal: "maxAdapters", metric: "my_lora", labels: {}, valueLabel: "max_lora" },
      { signal: "runningAdapters", metric: "my_lora", labels: {}, valueLabel: "running_lora_adapters" },
      { signal: "waitingAdapters", metric: "my_lora", labels: {}, valueLabel: "waiting_lora_adapters" },
      { signal: "custom:power", metric: "my_watts", labels: {} },
    ]);
  });

  test("mistakes are told", () => {
    const parse = (engine: object) => coreMetricsExtractor.parameters.safeParse({ engineConfigs: [engine] });
    assert.match(String(parse({ name: "a", kvUsageSpec: "1" }).error), /expected name\{label=value/);
    assert.equal(parse({ name: "a", unheard: "x" }).success, false);
  });
});

describe("metrics-data-source", () => {
  test("defaults, and what it may be told", () => {
    const make = (parameters: object) =>
      metricsDataSource.create(metricsDataSource.parameters.parse(parameters), host);
    assert.deepEqual(make({}), {
      scheme: undefined,
      path: "/metrics",
      port: undefined,
      intervalMs: 50,
      insecureSkipVerify: true,
      ca: undefined,
      clientCert: undefined,
      clientKey: undefined,
      staleAfterMs: 2_000,
    });
    const told = make({ scheme: "https", port: 9400, interval: "10ms", caCertPath: "/ca.pem" });
    assert.deepEqual([told.scheme, told.port, told.intervalMs, told.ca], ["https", 9400, 50, "/ca.pem"]);
    assert.equal(make({ interval: "0.2s" }).intervalMs, 200);
    for (const wrong of [
      { interval: "soon" },
      { port: 0 },
      { path: "metrics" },
      { clientCertPath: "/c" },
      { x: 1 },
    ])
      assert.equal(metricsDataSource.parameters.safeParse(wrong).success, false, JSON.stringify(wrong));
  });
});
