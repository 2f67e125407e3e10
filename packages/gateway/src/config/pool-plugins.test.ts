import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as z from "zod";
import type { PluginDefinition, PluginKind } from "../contracts/plugins/plugin.ts";
import { definePlugin } from "../plugins/define-plugin.ts";
import { PluginRegistry } from "../plugins/plugin-registry.ts";
import { poolFlowSchema, poolMetricsSchema, schedulingSchema } from "./plugin-schema.ts";
import { compilePoolPlugins, type PoolPlugins } from "./pool-plugins.ts";
import type { Problem } from "./source.ts";

function plain(kind: PluginKind, ...types: readonly string[]): PluginDefinition[] {
  const parameters = z.strictObject({ limit: z.number().min(0).optional() });
  return types.map((type) =>
    definePlugin({ type, kinds: [kind], summary: type, parameters, create: () => ({}) }),
  );
}

const registry = new PluginRegistry([
  ...plain("filter", "decode-filter"),
  ...plain("scorer", "queue-scorer", "prefix-cache-scorer"),
  ...plain("picker", "max-score-picker", "random-picker"),
  ...plain("profile-handler", "single-profile-handler", "header-profile-handler"),
  ...plain("producer", "approx-prefix-cache-producer"),
  ...plain("fairness", "global-strict-fairness-policy", "round-robin-fairness-policy"),
  ...plain("ordering", "fcfs-ordering-policy", "edf-ordering-policy"),
  ...plain("saturation", "utilization-detector", "concurrency-detector"),
  ...plain("usage-limit", "static-usage-limit-policy"),
  ...plain("eviction", "sheddable-eviction-filter"),
]);

const keys = z.strictObject({
  scheduling: schedulingSchema.optional(),
  flow: poolFlowSchema.optional(),
  metrics: poolMetricsSchema.optional(),
});

function compile(written: z.input<typeof keys>): PoolPlugins & { readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const context = {
    path: [],
    registry,
    resolvePath: (path: string) => `/etc/${path}`,
    problems,
    warnings: [],
  };
  return { ...compilePoolPlugins(keys.parse(written), context), problems };
}

function told(written: z.input<typeof keys>): readonly string[] {
  return compile(written).problems.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

describe("scheduling", () => {
  test("plugins by their types, endings left out, picker and handler by themselves", () => {
    const { scheduling, problems } = compile({
      scheduling: {
        profiles: {
          default: {
            filters: ["decode-filter"],
            scorers: [{ type: "queue", weight: 2 }, "prefix-cache-scorer"],
          },
        },
      },
    });
    assert.deepEqual(problems, []);
    assert.deepEqual(scheduling?.profiles, [
      {
        name: "default",
        filters: ["decode-filter"],
        scorers: [
          { plugin: "queue-scorer", weight: 2 },
          { plugin: "prefix-cache-scorer", weight: 1 },
        ],
        picker: "max-score-picker",
      },
    ]);
    assert.equal(scheduling?.handler, "single-profile-handler");
    assert.deepEqual(
      scheduling?.plugins.map(({ name }) => name),
      ["decode-filter", "queue-scorer", "prefix-cache-scorer", "max-score-picker", "single-profile-handler"],
    );
  });

  test("several profiles, shadows; a plugin that is named twice is one, with parameters it has a name", () => {
    const { scheduling, problems } = compile({
      scheduling: {
        handler: "header",
        producers: [{ type: "approx-prefix-cache", parameters: { limit: 3 } }],
        profiles: {
          quick: { scorers: ["queue"], picker: "random" },
          careful: {
            scorers: ["queue", { type: "queue", name: "strict", parameters: { limit: 1 }, weight: 0.5 }],
          },
        },
        shadows: { next: { scorers: ["prefix-cache"] } },
      },
    });
    assert.deepEqual(problems, []);
    assert.equal(scheduling?.handler, "header-profile-handler");
    assert.deepEqual(scheduling?.profiles[1]?.scorers, [
      { plugin: "queue-scorer", weight: 1 },
      { plugin: "strict", weight: 0.5 },
    ]);
    assert.deepEqual(
      scheduling?.shadows.map(({ name }) => name),
      ["next"],
    );
    const strict = scheduling?.plugins.find(({ name }) => name === "strict");
    assert.deepEqual(strict, { name: "strict", type: "queue-scorer", parameters: { limit: 1 } });
    assert.deepEqual(scheduling?.plugins[0]?.parameters, { limit: 3 });
  });

  test("what is wrong is told with its place", () => {
    assert.deepEqual(
      told({
        scheduling: {
          profiles: {
            a: {
              scorers: ["queue-scorrer", { type: "queue", parameters: { limit: -1 } }],
              picker: "queue-scorer",
            },
            b: { filters: [{ type: "decode", parameters: { nix: 1 } }], scorers: ["dcgm-extractor"] },
            c: { scorers: ["prefix-cache", { type: "prefix-cache", parameters: { limit: 2 } }] },
          },
        },
      }).map((text) => text.replace(/; there are: .*|; of its kind .*/, "")),
      [
        'scheduling.profiles.c.scorers.1: there is a plugin "prefix-cache-scorer" already; give this one a name of its own',
        "scheduling.handler: missing: expected the handler that says which of a, b, c run",
        'scheduling.profiles.a.scorers.0: there is no plugin of the type "queue-scorrer"; did you mean "queue-scorer"?',
        "scheduling.profiles.a.scorers.1.parameters.limit: queue-scorer: expected at least 0, got -1",
        "scheduling.profiles.b.filters.0.parameters.nix: decode-filter: unknown key; known here: limit",
        'scheduling.profiles.b.scorers.0: "dcgm-extractor" is an extractor of the llm-d router that is not built in Spillway; none of its kind is',
      ],
    );
  });
});

describe("flow", () => {
  test("defaults are the router's; a band takes what it does not say from above", () => {
    const { flow, problems } = compile({
      flow: {
        fairness: "round-robin",
        ttl: "0s",
        noEndpointTtl: "5m",
        priorities: [
          { priority: 100, maxRequests: 500, ordering: "edf", ttl: "10s" },
          { priority: -10, maxBytes: "1MiB" },
        ],
        sheddable: { maxRequests: 10 },
        saturation: { type: "concurrency", parameters: { limit: 132 } },
        eviction: "sheddable",
      },
    });
    assert.deepEqual(problems, []);
    const band = {
      maxRequests: 5000,
      maxBytes: 1e9,
      maxTokens: Infinity,
      fairness: "round-robin-fairness-policy",
      ordering: "fcfs-ordering-policy",
      ttlMs: undefined,
    };
    assert.deepEqual(flow?.bands, [
      { priority: 100, ...band, maxRequests: 500, ordering: "edf-ordering-policy", ttlMs: 10_000 },
      { priority: -10, ...band, maxBytes: 2 ** 20 },
    ]);
    assert.deepEqual(flow?.defaultBand, band);
    assert.deepEqual(flow?.defaultNegativeBand, { ...band, maxRequests: 10 });
    assert.equal(flow?.defaultTtlMs, Infinity);
    assert.equal(flow?.noEndpointTtlMs, 300_000);
    assert.equal(flow?.saturation, "concurrency-detector");
    assert.equal(flow?.usageLimit, "static-usage-limit-policy");
    assert.equal(flow?.eviction, "sheddable-eviction-filter");
    assert.equal(flow?.mode, "wait");
  });

  test("a policy of the wrong kind, one priority twice", () => {
    assert.deepEqual(
      told({ flow: { ordering: "queue-scorer", priorities: [{ priority: 1 }, { priority: 1 }] } }),
      [
        "flow.priorities.1.priority: priority 1 is there already",
        'flow.ordering: expected the name of an ordering policy among plugins, got "queue-scorer", which is a scorer',
      ],
    );
  });
});

describe("metrics", () => {
  test("a make is enough", () => {
    const { data } = compile({ metrics: "vllm" });
    assert.equal(data?.defaultEngine, "vllm");
    assert.equal(data?.metrics?.path, "/metrics");
    assert.equal(data?.metrics?.intervalMs, 100);
    assert.deepEqual(compile({ metrics: {} }).data, data);
    assert.equal(compile({ metrics: false }).data?.metrics, undefined);
    assert.equal(compile({}).data, undefined);
  });

  test("servers of one's own make", () => {
    const { data, problems } = compile({
      metrics: {
        engine: "house",
        scheme: "https",
        port: 9400,
        interval: "1s",
        ca: "ca.pem",
        engines: { house: { waiting: 'house_queue{kind=waiting,rank="0"}', custom: { heat: "house_heat" } } },
      },
    });
    assert.deepEqual(problems, []);
    assert.equal(data?.metrics?.ca, "/etc/ca.pem");
    assert.deepEqual(data?.engines, [
      {
        engine: "house",
        metrics: [
          { signal: "waiting", metric: "house_queue", labels: { kind: "waiting", rank: "0" } },
          { signal: "custom:heat", metric: "house_heat", labels: {} },
        ],
      },
    ]);
  });

  test("mistakes", () => {
    assert.deepEqual(told({ metrics: "vlm" }), [
      'metrics: expected one of vllm, sglang, triton-tensorrt-llm, trtllm-serve, triton, got "vlm"',
    ]);
    assert.deepEqual(told({ metrics: { engine: "a", engines: { a: { running: "a b" } } } }), [
      'metrics.engines.a.running: expected name or name{label=value}, got "a b"',
    ]);
  });
});
