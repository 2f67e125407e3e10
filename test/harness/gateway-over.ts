/** A gateway over HTTP servers. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { startSimulator, type Simulator, type SimulatorOptions } from "@spillway/simulator";
import { parseConfig } from "../../packages/gateway/src/config/with-plugins.ts";
import { createModelFolder, startTestGateway, testConfig, type TestGateway } from "./gateway.ts";

/** A gateway over pools whose servers say themselves what they speak: `name` → addresses. `more`: lines of spillway.yaml. */
export async function gatewayOver(
  t: TestContext,
  pools: Readonly<Record<string, readonly string[]>>,
  more = "",
): Promise<TestGateway> {
  const text = Object.entries(pools).map(
    ([name, endpoints]) => `${name}: { dialect: auto, endpoints: ${JSON.stringify(endpoints)} }`,
  );
  const folder = createModelFolder(t);
  const parsed = parseConfig(`pools: { ${text.join(", ")} }\n${more}`, {
    directory: folder.path,
    environment: {},
  });
  assert.ok("config" in parsed, JSON.stringify(parsed));
  const { pools: read, routes, access } = parsed.config;
  return startTestGateway(t, { ...testConfig(folder.path), pools: read, routes, access });
}

/** A gateway over one simulated server. Both end with the test. */
export async function gatewayOverSimulator(
  t: TestContext,
  options: SimulatorOptions,
): Promise<{ readonly url: string; readonly simulator: Simulator }> {
  const simulator = await startSimulator(options);
  t.after(() => simulator.close());
  return { url: (await gatewayOver(t, { pool: [simulator.url] })).url, simulator };
}
