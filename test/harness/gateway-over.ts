/** A gateway over HTTP servers. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { parseConfig } from "../../packages/gateway/src/config/index.ts";
import { createModelFolder, startTestGateway, testConfig, type TestGateway } from "./gateway.ts";

/** A gateway over pools whose servers say themselves what they speak: `name` → addresses. */
export async function gatewayOver(
  t: TestContext,
  pools: Readonly<Record<string, readonly string[]>>,
): Promise<TestGateway> {
  const text = Object.entries(pools).map(
    ([name, endpoints]) => `${name}: { dialect: auto, endpoints: ${JSON.stringify(endpoints)} }`,
  );
  const folder = createModelFolder(t);
  const parsed = parseConfig(`pools: { ${text.join(", ")} }\n`, { directory: folder.path, environment: {} });
  assert.ok("config" in parsed, JSON.stringify(parsed));
  return startTestGateway(t, { ...testConfig(folder.path), pools: parsed.config.pools });
}
