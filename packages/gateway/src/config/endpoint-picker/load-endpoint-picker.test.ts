import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import * as z from "zod";
import type { ExtractorSpec, MetricsSourceSpec } from "../../contracts/plugins/data.ts";
import type { PluginDefinition, PluginKind } from "../../contracts/plugins/plugin.ts";
import { sampleHost } from "../../plugins/contract-suites/sample-host.ts";
import { createProfiles } from "../../plugins/create-profiles.ts";
import { definePlugin } from "../../plugins/define-plugin.ts";
import { builtInPlugins } from "../../plugins/index.ts";
import { PluginRegistry } from "../../plugins/plugin-registry.ts";
import { loadEndpointPicker, parseEndpointPicker, type EndpointPicker } from "./load-endpoint-picker.ts";

const fixtures = join(import.meta.dirname, "../fixtures/endpoint-picker");

function plain(kind: PluginKind, ...types: readonly string[]): PluginDefinition[] {
  return types.map((type) => {
    const parameters = z.strictObject({ threshold: z.number().min(0).max(1).optional() });
    return definePlugin({ type, kinds: [kind], summary: type, parameters, create: () => ({}) });
  });
}

function open(kind: PluginKind, ...types: readonly string[]): PluginDefinition[] {
  const parameters = z.record(z.string(), z.unknown());
  return types.map((type) =>
    definePlugin({ type, kinds: [kind], summary: type, parameters, create: () => ({}) }),
  );
}

const metricsSource = definePlugin({
  type: "metrics-data-source",
  kinds: ["source"],
  summary: "",
  parameters: z.strictObject({
    scheme: z.enum(["http", "https"]).default("http"),
    path: z.string().default("/metrics"),
    port: z.int().optional(),
    interval: z.string().optional(),
  }),
  create: ({ scheme, path, port, interval }): MetricsSourceSpec => ({
    scheme,
    path,
    port,
    intervalMs: interval === undefined ? 50 : Number.parseInt(interval, 10),
    insecureSkipVerify: true,
    ca: undefined,
    staleAfterMs: 2_000,
  }),
});

const coreExtractor = definePlugin({
  type: "core-metrics-extractor",
  kinds: ["extractor"],
  summary: "",
  parameters: z.strictObject({
    defaultEngine: z.string().default("vllm"),
    engineConfigs: z.unknown().optional(),
  }),
  create: ({ defaultEngine }): ExtractorSpec => ({
    engineLabel: "llm-d.ai/engine-type",
    defaultEngine,
    engines: [],
  }),
});

/** What is built in is no concern here: kinds and names are. */
const registry = new PluginRegistry([
  ...open("filter", "label-selector-filter", "by-label", "decode-filter", "prefill-filter"),
  ...open("filter", "prefix-cache-affinity-filter"),
  ...plain("scorer", "queue-scorer", "kv-cache-utilization-scorer", "no-hit-lru-scorer"),
  ...plain("scorer", "active-request-scorer", "session-affinity-scorer"),
  ...open("scorer", "prefix-cache-scorer"),
  ...plain("picker", "max-score-picker", "random-picker", "weighted-random-picker"),
  ...plain("profile-handler", "single-profile-handler", "header-profile-handler"),
  ...open("producer", "approx-prefix-cache-producer", "token-producer"),
  ...plain("fairness", "global-strict-fairness-policy", "round-robin-fairness-policy"),
  ...plain("ordering", "fcfs-ordering-policy"),
  ...open("saturation", "utilization-detector", "concurrency-detector"),
  ...plain("usage-limit", "static-usage-limit-policy"),
  ...plain("eviction", "sheddable-eviction-filter"),
  ...plain("parser", "openai-parser"),
  ...open("discovery", "file-discovery"),
  metricsSource,
  coreExtractor,
]);

function parse(text: string, file = "picker.yaml") {
  return parseEndpointPicker(text, { file, directory: "/", registry });
}

function accepted(text: string): { readonly picker: EndpointPicker; readonly warnings: readonly string[] } {
  const result = parse(text);
  assert.ok("picker" in result, JSON.stringify(result));
  return result;
}

const head = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n";
const fixture = (name: string): string => readFileSync(join(fixtures, `${name}.yaml`), "utf8");

describe("examples of the router", () => {
  test("the baseline: four scorers, picker and handler by themselves", () => {
    const { picker, warnings } = accepted(fixture("optimized-baseline"));
    assert.deepEqual(picker.scheduling, {
      plugins: [
        "queue-scorer",
        "kv-cache-utilization-scorer",
        "prefix-cache-scorer",
        "no-hit-lru-scorer",
        "max-score-picker",
        "single-profile-handler",
      ].map((type) => ({ name: type, type, parameters: {} })),
      profiles: [
        {
          name: "default",
          filters: [],
          scorers: [
            { plugin: "queue-scorer", weight: 2 },
            { plugin: "kv-cache-utilization-scorer", weight: 2 },
            { plugin: "prefix-cache-scorer", weight: 3 },
            { plugin: "no-hit-lru-scorer", weight: 2 },
          ],
          picker: "max-score-picker",
        },
      ],
      handler: "single-profile-handler",
      shadows: [],
    });
    assert.equal(picker.flow.mode, "shed");
    assert.equal(picker.flow.saturation, "utilization-detector");
    assert.equal(picker.data.metrics?.intervalMs, 50);
    assert.equal(picker.data.defaultEngine, "vllm");
    assert.deepEqual(warnings, []);
  });

  test("a second tier of prefix cache has a producer of its own", () => {
    const { picker } = accepted(fixture("tiered-cpu"));
    const names = picker.scheduling.plugins.map(({ name, type }) => `${name}=${type}`);
    assert.ok(names.includes("cpu-prefix-cache-producer=approx-prefix-cache-producer"));
    assert.ok(names.includes("approx-prefix-cache-producer=approx-prefix-cache-producer"));
    const scorer = picker.scheduling.plugins.find(({ name }) => name === "cpu-prefix-cache-scorer");
    assert.deepEqual(scorer?.parameters, { prefixMatchInfoProducerName: "cpu-prefix-cache-producer" });
    assert.deepEqual(picker.scheduling.profiles[0].scorers.at(-1), {
      plugin: "cpu-prefix-cache-scorer",
      weight: 1,
    });
  });

  test("flow control: quantities, bands, policies", () => {
    const { picker } = accepted(fixture("flow-control"));
    const { flow } = picker;
    assert.equal(flow.mode, "wait");
    assert.equal(flow.maxBytes, 10 * 2 ** 30);
    assert.equal(flow.maxRequests, 1000);
    assert.equal(flow.defaultTtlMs, 30_000);
    assert.equal(flow.noEndpointTtlMs, 30_000);
    assert.equal(flow.saturation, "concurrency-detector");
    assert.equal(flow.usageLimit, "static-usage-limit-policy");
    assert.equal(flow.eviction, undefined);
    const band = {
      maxBytes: 1e9,
      maxTokens: Infinity,
      fairness: "round-robin-fairness-policy",
      ordering: "fcfs-ordering-policy",
    };
    assert.deepEqual(flow.bands, [
      { priority: 100, maxRequests: 500, ...band },
      { priority: 0, maxRequests: 200, ...band },
      { priority: -10, maxRequests: 50, ...band },
    ]);
    assert.deepEqual(flow.defaultBand, {
      ...band,
      maxRequests: 5000,
      fairness: "global-strict-fairness-policy",
    });
    assert.deepEqual(flow.defaultNegativeBand, flow.defaultBand);
    assert.deepEqual(
      flow.plugins.map(({ name }) => name),
      [
        "round-robin-fairness-policy",
        "fcfs-ordering-policy",
        "concurrency-detector",
        "global-strict-fairness-policy",
        "static-usage-limit-policy",
      ],
    );
  });

  test("older files: each older way is told, and means what it meant", () => {
    const { picker, warnings } = accepted(fixture("legacy"));
    const [profile] = picker.scheduling.profiles;
    assert.deepEqual(profile.filters, ["decode", "tier"]);
    const byName = new Map(picker.scheduling.plugins.map((plugin) => [plugin.name, plugin]));
    assert.equal(byName.get("tokenizer")?.type, "token-producer");
    assert.equal(byName.get("tier")?.type, "label-selector-filter");
    assert.deepEqual(byName.get("approx-prefix-cache-producer")?.parameters, {
      blockSizeTokens: 64,
      maxPrefixBlocksToMatch: 256,
      lruCapacityPerServer: 31_250,
    });
    assert.deepEqual(byName.get("prefix-cache-scorer")?.parameters, {});
    assert.deepEqual(picker.parsers, ["openai-parser"]);
    assert.deepEqual(
      warnings.map((text) => text.replace(/^picker.yaml:\d+:\d+: /, "")),
      [
        'apiVersion: "inference.networking.x-k8s.io/v1alpha1" is called "llm-d.ai/v1alpha1" today',
        "featureGates[0]: dataLayer is always on today",
        'plugins[1].type: "tokenizer" is called "token-producer" today',
        'plugins[3].type: "by-label-selector" is called "label-selector-filter" today',
        'plugins[4].parameters: blockSizeTokens, maxPrefixBlocksToMatch, lruCapacityPerServer: parameters of a plugin of the type "approx-prefix-cache-producer" today, which is made of them',
        "saturationDetector: the older place of flowControl.saturationDetector",
        "parser: the older place of requestHandler.parsers",
      ],
    );
  });

  test("endpoints of a file, metrics of one's own", () => {
    const { picker } = accepted(fixture("file-discovery"));
    assert.deepEqual(picker.data.discovery, {
      name: "from-file",
      type: "file-discovery",
      parameters: { path: "endpoints.yaml", watchFile: true },
    });
    const { metrics } = picker.data;
    assert.equal(metrics?.scheme, "https");
    assert.equal(metrics?.port, 9400);
    assert.equal(metrics?.intervalMs, 100);
    assert.equal(picker.data.defaultEngine, "house");
    assert.deepEqual(picker.scheduling.profiles[0].scorers, [{ plugin: "queue-scorer", weight: 1 }]);
  });

  const refused: Readonly<Record<string, readonly string[]>> = {
    "prefill-decode": ["always-disagg-pd-decider", "disagg-profile-handler"],
    "wide-expert-parallel": ["pd-profile-handler", "prefill-header-handler"],
    "predicted-latency": [
      "predicted-latency-producer",
      "slo-headroom-tier-filter",
      "latency-scorer",
      "latency-slo-admitter",
    ],
    "payload-agnostic": ["passthrough-parser"],
  };
  for (const [name, types] of Object.entries(refused)) {
    test(`${name}: what is not built is refused by name, and nothing else`, () => {
      const result = parse(fixture(name));
      assert.ok("errors" in result);
      const unbuilt = result.errors.filter((text) => text.includes("not built in Spillway"));
      assert.deepEqual(
        unbuilt.map((text) => /"([^"]+)"/.exec(text)?.[1]),
        types,
      );
      // A handler that is not built leaves several profiles without one, which is not said a second time.
      assert.deepEqual(result.errors, unbuilt);
      for (const text of unbuilt) assert.match(text, /of its kind there are: |none of its kind is/);
    });
  }

  test("every fixture is one of these", () => {
    const known = ["optimized-baseline", "tiered-cpu", "flow-control", "legacy", "file-discovery"];
    const files = readdirSync(fixtures).filter((file) => file.endsWith(".yaml"));
    assert.deepEqual(
      files.toSorted(),
      [...known, ...Object.keys(refused)].map((name) => `${name}.yaml`).toSorted(),
    );
  });
});

describe("the router's examples with the plugins that are built in", () => {
  const built = new PluginRegistry(builtInPlugins);
  const examples = readdirSync(fixtures).filter((file) => file.endsWith(".yaml"));
  for (const file of examples) {
    test(`${file} loads and is made, or is refused for what is not built alone`, () => {
      const text = readFileSync(join(fixtures, file), "utf8");
      const result = parseEndpointPicker(text, { file, directory: "/", registry: built });
      if ("errors" in result) {
        for (const error of result.errors) assert.match(error, /is not built in Spillway/);
        return;
      }
      const { scheduling, flow } = result.picker;
      const wired = createProfiles(scheduling, built, sampleHost(1));
      assert.equal(wired.profiles.length, scheduling.profiles.length);
      assert.ok(flow.plugins.every(({ type }) => built.find(type) !== undefined));
    });
  }

  test("five of them load", () => {
    const loaded = examples.filter((file) => {
      const text = readFileSync(join(fixtures, file), "utf8");
      return "picker" in parseEndpointPicker(text, { file, directory: "/", registry: built });
    });
    assert.deepEqual(loaded.toSorted(), [
      "file-discovery.yaml",
      "flow-control.yaml",
      "legacy.yaml",
      "optimized-baseline.yaml",
      "tiered-cpu.yaml",
    ]);
  });
});

describe("completion", () => {
  test("without profiles there is one, of every filter, scorer and picker in their order", () => {
    const { picker } = accepted(
      `${head}plugins:\n  - type: random-picker\n  - type: queue-scorer\n  - type: decode-filter\n  - name: kv\n    type: kv-cache-utilization-scorer\n`,
    );
    assert.deepEqual(picker.scheduling.profiles, [
      {
        name: "default",
        filters: ["decode-filter"],
        scorers: [
          { plugin: "queue-scorer", weight: 1 },
          { plugin: "kv", weight: 1 },
        ],
        picker: "random-picker",
      },
    ]);
  });

  test("a picker that is declared serves profiles that name none", () => {
    const { picker } = accepted(
      `${head}plugins:\n  - { name: mine, type: random-picker }\n  - type: queue-scorer\nschedulingProfiles:\n  - name: a\n    plugins: [{ pluginRef: queue-scorer }]\n`,
    );
    assert.equal(picker.scheduling.profiles[0].picker, "mine");
  });

  test("nothing said is a picker alone, which is told", () => {
    const { picker, warnings } = accepted(`${head}plugins: []\n`);
    assert.equal(picker.scheduling.profiles[0].picker, "max-score-picker");
    assert.match(warnings.join(), /has no scorer/);
  });

  test("injectDefaults: false reads no metrics", () => {
    const { picker } = accepted(
      `${head}plugins: [{ type: queue-scorer }]\ndataLayer: { injectDefaults: false }\n`,
    );
    assert.equal(picker.data.metrics, undefined);
  });

  test("flags of the command line hold where the file is silent", () => {
    const options = { file: "p", directory: "/", registry, metrics: { intervalMs: 75, staleAfterMs: 900 } };
    const silent = parseEndpointPicker(`${head}plugins: []\n`, options);
    const said = parseEndpointPicker(fixture("file-discovery"), options);
    assert.ok("picker" in silent && "picker" in said);
    assert.equal(silent.picker.data.metrics?.intervalMs, 75);
    assert.equal(said.picker.data.metrics?.intervalMs, 100);
    assert.equal(said.picker.data.metrics?.staleAfterMs, 900);
  });

  test("JSON is YAML; what is empty is nothing; ${} is text", () => {
    const json = { apiVersion: "config.x-k8s.io/v1alpha1", kind: "EndpointPickerConfig", plugins: null };
    const { warnings } = accepted(JSON.stringify(json));
    assert.match(warnings.join(), /"config.x-k8s.io\/v1alpha1" is called/);
    const { picker } = accepted(
      `${head}plugins:\n  - type: prefix-cache-scorer\n    parameters: { expression: "\${usage}" }\nflowControl:\ndataLayer:\n`,
    );
    assert.equal(picker.scheduling.plugins[0]?.parameters["expression"], "${usage}");
  });

  test("zero means what it means there", () => {
    const { picker } = accepted(
      `${head}featureGates: [flowControl=true]\nplugins: [{ type: queue-scorer }]\nflowControl: { maxBytes: 0, maxRequests: "0", defaultRequestTTL: 0s, noEndpointRequestTTL: 5m, enableEviction: true, defaultPriorityBand: { maxRequests: 0, maxBytes: 2Gi } }\n`,
    );
    const { flow } = picker;
    assert.equal(flow.maxBytes, Infinity);
    assert.equal(flow.maxRequests, Infinity);
    assert.equal(flow.defaultTtlMs, Infinity);
    assert.equal(flow.noEndpointTtlMs, 300_000);
    assert.equal(flow.defaultBand.maxRequests, 5000);
    assert.equal(flow.defaultBand.maxBytes, 2 ** 31);
    assert.equal(flow.eviction, "sheddable-eviction-filter");
    assert.equal(flow.saturation, "utilization-detector");
  });

  test("flowControl without its feature is told", () => {
    const { picker, warnings } = accepted(
      `${head}plugins: [{ type: queue-scorer }]\nflowControl: { maxBytes: 1 }\n`,
    );
    assert.equal(picker.flow.mode, "shed");
    assert.equal(picker.flow.maxBytes, Infinity);
    assert.match(warnings.join(), /flowControl: is only looked at with featureGates/);
  });
});

describe("messages for people", () => {
  // Each case is `=== title`, the file, `---`, the messages. SPILLWAY_UPDATE_GOLDEN=1 writes what is said now.
  const golden = join(fixtures, "errors.golden");
  const cases = readFileSync(golden, "utf8")
    .split(/^=== /m)
    .slice(1)
    .map((text) => /^(?<title>.*)\n(?<input>[^]*?)^---\n(?<expected>[^]*)$/m.exec(text)?.groups ?? {});
  const update = process.env["SPILLWAY_UPDATE_GOLDEN"] === "1";
  const errorsOf = (text: string): readonly string[] => {
    const result = parse(text);
    return "errors" in result ? result.errors : [];
  };

  for (const { title = "", input = "", expected = "" } of cases) {
    test(title, { skip: update }, () => {
      const errors = errorsOf(input);
      assert.ok(errors.length > 0, "no error");
      assert.equal(`${errors.join("\n")}\n`, expected);
    });
  }

  test("the cases are as written", { skip: !update }, () => {
    const written = cases.map(
      ({ title, input = "" }) => `=== ${title}\n${input}---\n${errorsOf(input).join("\n")}\n`,
    );
    writeFileSync(golden, written.join(""));
  });

  test("a file that is not there", async () => {
    const result = await loadEndpointPicker("none.yaml", { workingDirectory: "/", registry });
    assert.deepEqual(result, { errors: ["none.yaml: there is no such file"] });
  });
});

test("a spillway.yaml in its place is told as such", () => {
  const options = { file: "picker.yaml", directory: "/", registry: new PluginRegistry(builtInPlugins) };
  const result = parseEndpointPicker("extProc: {}\npools: { a: {} }\n", options);
  assert.ok("errors" in result);
  assert.match(
    result.errors.join("\n"),
    /^picker\.yaml: expected an EndpointPickerConfig.* a spillway\.yaml, .*$/,
  );
});
