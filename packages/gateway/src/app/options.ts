/** Everything a gateway is told at its start: the compiled configuration, and the machine as parameters. */
import type { CompiledConfig } from "../config/index.ts";
import type { ConfigSource } from "./config-source.ts";
import type { Logger, Metrics } from "../contracts/telemetry.ts";
import type { DiscoverySpot } from "../endpoints/discovery.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";

/** The compiled configuration; what is logged is the command line's business. */
export type GatewayConfig = Omit<CompiledConfig, "log">;

/** What a gateway uses of the machine. */
export interface GatewayContext {
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The worker's program, a file URL. */
  readonly workerProgram: string;
  /** Where the edge endpoint keeps what it must not lose; absent: `.spillway` in the working folder. Made when it is needed. */
  readonly dataFolder?: string;
  /** Where the configuration comes from, to read it again; absent: it is what it is. */
  readonly source?: ConfigSource;
  /** Where model servers are looked for on this machine; absent: at their usual ports. */
  readonly discoverySpots?: readonly DiscoverySpot[];
  /** The llama engine's program, and the folder its library is installed in; undefined: GGUF files are not served. */
  readonly llama?: { readonly program: string; readonly library: string };
}
