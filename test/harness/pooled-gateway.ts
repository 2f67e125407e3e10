/** A gateway over pools of HTTP servers, configured as `spillway.yaml` would, without models of its own. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { GatewayConfig } from "../../packages/gateway/src/app/options.ts";
import { parseConfig } from "../../packages/gateway/src/config/with-plugins.ts";
import {
  createModelFolder,
  repositoryRoot,
  startTestGateway,
  testConfig,
  type TestGateway,
  type TestMachine,
} from "./gateway.ts";

/** In the words of `spillway.yaml`. */
export interface PooledSetup extends TestMachine {
  readonly pools?: Readonly<Record<string, unknown>>;
  readonly routes?: readonly unknown[];
  readonly rules?: readonly unknown[];
  readonly requests?: Readonly<Record<string, unknown>>;
  /** Over everything that the test configuration says. */
  readonly config?: Partial<GatewayConfig>;
}

/** Starts it and waits until every server was asked what it serves. Ends with the test. */
export async function startPooledGateway(
  test: Pick<TestContext, "after">,
  { pools = {}, routes = [], rules = [], requests = {}, config = {}, ...machine }: PooledSetup,
): Promise<TestGateway> {
  const text = JSON.stringify({ pools, routes, rules, requests });
  const read = parseConfig(text, { directory: repositoryRoot, environment: {} });
  assert.ok("config" in read, JSON.stringify(read));
  const base = testConfig(createModelFolder(test).path);
  const { traits, ...given } = read.config;
  const pooled = { pools: given.pools, routes: given.routes, rules: given.rules, traits };
  return startTestGateway(test, { ...base, ...pooled, ...config }, machine);
}

/** Keeps what is to be closed, for tests that share it: `closeAll` ends it, last first, whatever failed before. */
export class Cleanup {
  readonly #ends: (() => unknown)[] = [];

  readonly after = (end: () => unknown): void => void this.#ends.push(end);

  /** Rejects with the first error, after everything was ended. */
  async closeAll(): Promise<void> {
    const errors: unknown[] = [];
    for (const end of this.#ends.splice(0).reverse()) {
      try {
        await end();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
