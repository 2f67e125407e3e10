/** A gateway whose door for Envoy is open, and a carrier in front of it. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { ExtProcOptions } from "../../packages/gateway/src/contracts/options.ts";
import { sampleOf } from "./dialect-cells.ts";
import { ExtProcCarrier } from "./extproc-carrier.ts";
import type { TestGateway } from "./gateway.ts";
import { startPooledGateway, type PooledSetup } from "./pooled-gateway.ts";
import { answerWhole, startScriptedModel, type ModelScript, type ScriptedModel } from "./scripted-model.ts";
import { until } from "./until.ts";

/** The door as tests want it: free ports, plain text, everything else as by default. */
export const testExtProc: ExtProcOptions = {
  host: "127.0.0.1",
  port: 0,
  healthPort: undefined,
  tls: "none",
  drainMs: 30_000,
  maxStreams: 10_000,
  maxConnections: 1_000,
  maxHeaders: 500,
  maxBodyBytes: 64 * 2 ** 20,
  maxTotalBodyBytes: 256 * 2 ** 20,
  subsets: true,
  scores: false,
};

/** A picker and what asks it. */
export interface TestPicker {
  readonly gateway: TestGateway;
  readonly carrier: ExtProcCarrier;
  /** `host:port` of the door. */
  readonly address: string;
}

/** What it is started with. */
export interface PickerSetup extends PooledSetup {
  /** Over `testExtProc`. */
  readonly door?: Partial<ExtProcOptions>;
}

/** Starts both; they end with the test. */
export async function startPicker(
  test: Pick<TestContext, "after">,
  { door = {}, config = {}, ...setup }: PickerSetup,
): Promise<TestPicker> {
  const extProc = { ...testExtProc, ...door };
  const gateway = await startPooledGateway(test, { ...setup, config: { ...config, extProc } });
  const address = `127.0.0.1:${gateway.listening.extProc?.port}`;
  const carrier = new ExtProcCarrier(address, { tls: extProc.tls !== "none" });
  test.after(() => carrier.close());
  return { gateway, carrier, address };
}

/** A picker over scripted servers of one pool, `p`. */
export interface ScriptedPicker extends TestPicker {
  readonly servers: readonly ScriptedModel[];
  /** `host:port` of each server. */
  readonly addresses: readonly string[];
}

/** What it is started with. */
export interface ScriptedPickerSetup extends Partial<PickerSetup> {
  /** Servers; 1 where nothing is said. */
  readonly count?: number;
  /** What each server does; a whole answer where nothing is said. */
  readonly script?: ModelScript;
  /** Models that each server has; `a` where nothing is said. */
  readonly models?: readonly string[];
  /** The pool, over an OpenAI-compatible one of all servers. */
  readonly pool?: object;
}

/** Starts them; they end with the test. */
export async function startScriptedPicker(
  test: TestContext,
  { count = 1, script = answerWhole, models = ["a"], pool = {}, ...setup }: ScriptedPickerSetup = {},
): Promise<ScriptedPicker> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => startScriptedModel(test, [...models], script)),
  );
  const endpoints = servers.map(({ url }) => url);
  const pools = { p: { dialect: "openai", endpoints, ...pool } };
  const picker = await startPicker(test, { pools, ...setup });
  return { ...picker, servers, addresses: endpoints.map((url) => url.replace("http://", "")) };
}

/** Nothing is under way, in line, held or counted to a server of the first pool any more. */
export async function assertAtRest({ gateway }: TestPicker): Promise<void> {
  const [pool] = gateway.forward.pools();
  await until("every place is given back", () => pool?.endpoints.every(({ inFlight }) => inFlight === 0));
  await until(
    "no stream is open",
    async () => (await sampleOf(gateway, "spillway_extproc_streams_in_flight")) === 0,
  );
  assert.equal(await sampleOf(gateway, "spillway_extproc_held_bytes"), 0);
  assert.equal(pool?.line.length, 0);
  for (const { load } of pool.endpoints) {
    assert.deepEqual([load.requests, load.promptTokens, load.outputTokens], [0, 0, 0]);
  }
}
