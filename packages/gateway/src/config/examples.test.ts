import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { loadConfig } from "./load-config.ts";

const folder = join(import.meta.dirname, "../../../../config/examples");
const keys = { VLLM_API_KEY: "v", OPENAI_API_KEY: "o", GROUNDLIGHT_API_TOKEN: "g" };
const environment = { SPILLWAY_PORT: "8080", SPILLWAY_MODELS: "/models", ...keys };

const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
assert.ok(files.length >= 4);

for (const name of files) {
  test(`${name} loads, and names the schema for editors`, async () => {
    const file = join(folder, name);
    const result = await loadConfig({ file, workingDirectory: "/", environment });
    assert.ok("config" in result, JSON.stringify(result));
    const [, schema] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(readFileSync(file, "utf8")) ?? [];
    assert.ok(schema !== undefined && existsSync(resolve(dirname(file), schema)), schema);
    const { repository } = result.config;
    if (repository !== undefined && !repository.directory.startsWith("/models")) {
      assert.ok(existsSync(repository.directory), repository.directory);
    }
  });
}
