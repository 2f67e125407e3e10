/**
 * `@spillway/gateway` as a library: what `spillway serve` does, for programs that start a gateway of
 * their own. `@spillway/gateway/testing` has a clock that tests move by hand.
 */

// Starting a gateway.
export { startGateway } from "./app/gateway.ts";
export type { RunningGateway } from "./app/gateway.ts";
export type { GatewayConfig, GatewayContext } from "./app/options.ts";

// Its configuration: read from YAML, or written as these types.
export { loadConfig } from "./config/index.ts";
export { parseConfig } from "./config/with-plugins.ts";
export type { CompiledConfig } from "./config/index.ts";
export type {
  AccessOptions,
  DoorOptions,
  FlowOptions,
  PoolOptions,
  PredictOptions,
  RepositoryOptions,
  WorkerOptions,
} from "./contracts/options.ts";

// What it uses of the machine.
export { systemClock } from "./core/clock.ts";
export type { Clock, Timer } from "./core/clock.ts";
export { createSystemRandom } from "./core/random.ts";
export type { Random } from "./core/random.ts";
export { createLogger, createMetrics } from "./telemetry/index.ts";
export type { Logger, Metrics } from "./contracts/telemetry.ts";

// What it tells.
export { errorTable, GatewayError } from "./core/errors.ts";
export type { ErrorCode, Failure } from "./core/errors.ts";
export type { ModelCatalog, ModelStatistics, ModelStatus } from "./contracts/models.ts";
