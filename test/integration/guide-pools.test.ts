/** What docs/guides/another-model-server.md shows is valid, and the same as the files it speaks of. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { parseConfig } from "../../packages/gateway/src/config/with-plugins.ts";
import { repositoryRoot } from "../harness/gateway.ts";

const folder = path.join(repositoryRoot, "docs/guides");
const guide = readFileSync(path.join(folder, "another-model-server.md"), "utf8");

function blocks(language: string): string[] {
  return [...guide.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm"))].map(
    (match) => match[1] ?? "",
  );
}

test("every configuration is accepted", () => {
  const examples = blocks("yaml");
  assert.ok(examples.length >= 5);
  for (const text of examples) {
    const result = parseConfig(text, { directory: folder, environment: {} });
    assert.ok("config" in result, `${text}\n${JSON.stringify(result)}`);
    assert.equal(result.config.pools.length, 1);
  }
});

test("the worker in one file is the file", () => {
  assert.deepEqual(blocks("python"), [readFileSync(path.join(folder, "one-file-worker/worker.py"), "utf8")]);
});

test("MLServer's settings are those the fixtures were recorded with, but for the platform's name", () => {
  const settings = path.join(repositoryRoot, "test/conformance/mlserver/server/iris/model-settings.json");
  const { platform, ...recorded } = JSON.parse(readFileSync(settings, "utf8")) as Record<string, unknown>;
  assert.equal(platform, "sklearn");
  assert.deepEqual(
    blocks("json").map((text) => JSON.parse(text) as unknown),
    [recorded],
  );
});
