/** A gateway whose door for Envoy is open, and a carrier in front of it. */
import type { TestContext } from "node:test";
import type { ExtProcOptions } from "../../packages/gateway/src/contracts/options.ts";
import { ExtProcCarrier } from "./extproc-carrier.ts";
import type { TestGateway } from "./gateway.ts";
import { startPooledGateway, type PooledSetup } from "./pooled-gateway.ts";

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
