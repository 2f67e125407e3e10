import assert from "node:assert/strict";
import { test } from "node:test";
import { builtInPlugins } from "../plugins/index.ts";
import { PluginRegistry } from "../plugins/plugin-registry.ts";
import { parseConfig } from "../config/with-plugins.ts";
import { isHttpPool } from "../contracts/options.ts";
import { systemClock } from "../core/clock.ts";
import { createSystemRandom } from "../core/random.ts";
import { createLogger, createMetrics } from "../index.ts";
import { definePlugin, z, type PageExtractor } from "../plugin.ts";
import { createExtractors, neededSignals } from "./pool-data.ts";

test("adapters are looked for where a plugin reads them, a shadow's too; the rest always", () => {
  const registry = new PluginRegistry(builtInPlugins);
  const lora = { name: "lora", type: "lora-affinity-scorer", parameters: {} };
  const scheduling = (plugins: readonly (typeof lora)[]) => ({
    plugins,
    profiles: [{ name: "default", filters: [], scorers: [], picker: "max-score-picker" }] as const,
    handler: "single-profile-handler",
    shadows: [],
  });
  const without = neededSignals({ scheduling: scheduling([]) }, [], registry);
  assert.deepEqual(without, ["waiting", "running", "kvUsage", "blockTokens", "blocks", "custom"]);
  assert.ok(neededSignals({ scheduling: scheduling([lora]) }, [], registry).includes("adapters"));
  assert.ok(neededSignals({}, ["adapters"], registry).includes("adapters"));
  const unknown = { name: "x", type: "nobody-has-it", parameters: {} };
  assert.deepEqual(neededSignals({ scheduling: scheduling([unknown]) }, [], registry), without);
});

test("extractors of a pool are made from what its metrics name; what is none is refused by name", () => {
  const own = definePlugin({
    type: "watts-extractor",
    kinds: ["extractor"],
    summary: "Reads watts.",
    parameters: z.strictObject({ factor: z.number().default(1) }),
    create: ({ factor }): PageExtractor => ({ extract: (_page, _endpoint, tell) => tell("watts", factor) }),
  });
  const registry = new PluginRegistry([...builtInPlugins, own]);
  const logger = createLogger({ level: "error", format: "json", write: () => {}, clock: systemClock });
  const context = { clock: systemClock, random: createSystemRandom(), logger, metrics: createMetrics() };
  const spec = { name: "w", type: "watts-extractor", parameters: { factor: 3 } };
  const data = {
    engineLabel: "e",
    defaultEngine: "vllm",
    engines: [],
    metrics: undefined,
    discovery: undefined,
  };
  const [made] = createExtractors({ data: { ...data, extractors: [spec] } }, registry, context);
  const told: unknown[] = [];
  made?.extractor.extract(Buffer.alloc(0), {} as never, (...args) => void told.push(args));
  assert.deepEqual([made?.type, told], ["watts-extractor", [["watts", 3]]]);
  const refuse = (type: string) =>
    createExtractors(
      { data: { ...data, extractors: [{ ...spec, type, parameters: {} }] } },
      registry,
      context,
    );
  assert.throws(() => refuse("core-metrics-extractor"), /has no extract/);
  assert.throws(() => refuse("file-discovery"), /file-discovery/);
  assert.throws(() => refuse("nobody-has-it"), /nobody-has-it/);
  assert.deepEqual(createExtractors({}, registry, context), []);
  const text =
    "pools: { a: { dialect: openai, endpoints: [http://h:1], metrics: { extractors: [core-metrics-extractor] } } }";
  const parsed = parseConfig(text, { directory: "/", environment: {} });
  assert.ok("config" in parsed, JSON.stringify(parsed));
  const [pool] = parsed.config.pools.filter(isHttpPool);
  assert.deepEqual(
    pool?.data?.extractors?.map(({ type }) => type),
    ["core-metrics-extractor"],
  );
});
