import assert from "node:assert/strict";
import { test } from "node:test";
import { builtInPlugins } from "../plugins/index.ts";
import { PluginRegistry } from "../plugins/plugin-registry.ts";
import { neededSignals } from "./pool-data.ts";

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
