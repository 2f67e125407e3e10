/** Puts together what serves predictive models: local worker processes and pools of gRPC servers. */
import type { ModelCatalog } from "../contracts/models.ts";
import { isGrpcPool } from "../contracts/options.ts";
import { RequestLine } from "../stages/flowcontrol/line.ts";
import { createCatalog, type ModelSource } from "../workers/catalog.ts";
import { createChildLauncher } from "../workers/child-launcher.ts";
import { ModelRepository } from "../workers/model-repository.ts";
import { createRemotePool } from "../workers/remote-pool.ts";
import { StatisticsRegistry } from "../workers/statistics-registry.ts";
import { countRestart, exposePools, exposeWorkers } from "../workers/worker-metrics.ts";
import type { GatewayConfig, GatewayContext } from "./options.ts";

/** What is made here. */
export interface ModelWorkers {
  readonly sources: readonly ModelSource[];
  readonly catalog: ModelCatalog;
  /** Starts the models. Rejects with a `GatewayError` where the repository cannot be served. */
  start(): Promise<void>;
  /** Ends all workers. Idempotent. */
  close(): void;
}

/** What it needs beside configuration and machine. */
export interface ModelWorkerParts {
  readonly config: GatewayConfig;
  readonly context: GatewayContext;
  /** A model came up, failed or went. */
  readonly onChange: () => void;
}

/** Starts nothing yet. */
export function createModelWorkers({ config, context, onChange }: ModelWorkerParts): ModelWorkers {
  const { clock, logger, metrics } = context;
  const launcher = createChildLauncher({ program: context.workerProgram, logger });
  const statistics = new StatisticsRegistry({ clock, metrics });
  const shared = {
    clock,
    logger,
    statistics,
    createLine: (onRefused: ConstructorParameters<typeof RequestLine>[0]["onRefused"]) =>
      new RequestLine({ clock, maxQueue: config.flow.maxQueue, onRefused }),
    onChange,
  };
  const repository =
    config.repository === undefined
      ? undefined
      : new ModelRepository({
          ...shared,
          launcher,
          repository: config.repository,
          worker: config.workers,
          onRestart: (deployment) => countRestart(metrics, deployment),
        });
  const pools = config.pools
    .filter(isGrpcPool)
    .map((pool) => createRemotePool({ ...shared, pool, random: context.random }));
  const sources: ModelSource[] = [...(repository === undefined ? [] : [repository]), ...pools];
  exposeWorkers(metrics, repository, sources);
  exposePools(metrics, pools);
  return {
    sources,
    catalog: createCatalog({ repository, sources, statistics }),
    start: async () => void (await Promise.all([repository?.start(), ...pools.map((pool) => pool.start())])),
    close() {
      repository?.close();
      for (const pool of pools) pool.close();
      launcher.close();
    },
  };
}
