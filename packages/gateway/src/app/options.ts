/** Everything a gateway is told at its start: the compiled configuration, and the machine as parameters. */
import type {
  AccessOptions,
  DoorOptions,
  FlowOptions,
  PoolOptions,
  PredictOptions,
  RepositoryOptions,
  WorkerOptions,
} from "../contracts/options.ts";
import type { Logger, Metrics } from "../contracts/telemetry.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";

/** The compiled configuration. */
export interface GatewayConfig {
  /** HTTP listeners; all serve the same. */
  readonly http: readonly DoorOptions[];
  /** Undefined: no gRPC. */
  readonly grpc: DoorOptions | undefined;
  readonly access: AccessOptions;
  readonly flow: FlowOptions;
  readonly workers: WorkerOptions;
  /** Undefined: no models of its own. */
  readonly repository: RepositoryOptions | undefined;
  readonly pools: readonly PoolOptions[];
  readonly predict: PredictOptions;
}

/** What a gateway uses of the machine. */
export interface GatewayContext {
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The worker's program, a file URL. */
  readonly workerProgram: string;
}
