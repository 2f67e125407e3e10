import assert from "node:assert/strict";
import { test } from "node:test";
import { parseExposition } from "../../../../../test/harness/exposition.ts";
import { fullPage } from "./full-page.ts";

test("a whole page of vLLM's is one that a strict reader takes, of the size that such pages have", () => {
  const page = fullPage({ waiting: 3, running: 12, kvUsage: 0.4375, adapters: ["sql", "chat"] });
  assert.ok(page.length > 60_000, `${page.length} bytes`);
  assert.ok(fullPage({ waiting: 0, running: 0, kvUsage: 0, engines: 4 }).length > 3 * 36_000);
  // The reader takes names of our own exposition alone, which have no colons.
  const families = parseExposition(page.replaceAll("vllm:", "vllm_"));
  const of = (name: string): number | undefined => [...(families.get(name)?.samples.values() ?? [])][0];
  assert.deepEqual([of("vllm_num_requests_waiting"), of("vllm_num_requests_running")], [3, 12]);
  assert.equal(of("vllm_kv_cache_usage_perc"), 0.4375);
  assert.equal(families.get("vllm_lora_requests_info")?.samples.size, 2);
  assert.equal(families.get("vllm_time_to_first_token_seconds")?.type, "histogram");
});
