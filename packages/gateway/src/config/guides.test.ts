/** What the guides and the README show of `spillway.yaml` loads. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadConfig } from "./load-config.ts";

const root = join(import.meta.dirname, "../../../..");
const folder = mkdtempSync(join(tmpdir(), "spillway-guides-"));
after(() => rmSync(folder, { recursive: true }));

const environment = { OPENAI_API_KEY: "o", VLLM_API_KEY: "v", GROUNDLIGHT_API_TOKEN: "g" };
/** Of `model.yaml`, which is another file. */
const others = new Set(["model-yaml.md"]);
const guides = readdirSync(join(root, "docs/guides")).filter(
  (name) => name.endsWith(".md") && !others.has(name),
);

const isConfig = (block: string): boolean =>
  /^(#.*\n)*(listen|auth|edge|pools|routes|rules|requests|escalate|llama|monitoring|flow|grpc):/.test(block);

let count = 0;
for (const page of ["README.md", ...guides.map((name) => `docs/guides/${name}`)]) {
  const text = readFileSync(join(root, page), "utf8");
  const blocks = Array.from(text.matchAll(/^```yaml\n([^]*?)^```$/gm), ([, block = ""]) => block).filter(
    isConfig,
  );
  const pools = blocks.find((block) => block.includes("\npools:") || block.startsWith("pools:")) ?? "";
  for (const [index, block] of blocks.entries()) {
    count++;
    test(`${page}, ${index + 1}`, async () => {
      // A block about routes alone is about the pools that its page begins with.
      const whole = block.includes("routes:") && !block.includes("pools:") ? pools + block : block;
      const file = join(folder, `${count}-${index}.yaml`);
      writeFileSync(file, whole);
      const result = await loadConfig({ file, workingDirectory: folder, environment });
      assert.ok("config" in result, JSON.stringify(result));
    });
  }
}

test("there are such blocks", () => assert.ok(count >= 8, `${count}`));
