/** Puts together what serves predictive models: local worker processes and pools of gRPC servers. */
import { mkdir } from "node:fs/promises";
import type { ManagedModels } from "../contracts/managed-models.ts";
import type { ModelCatalog } from "../contracts/models.ts";
import { isGrpcPool } from "../contracts/options.ts";
import { RequestLine } from "../stages/flowcontrol/line.ts";
import { createCatalog, type ModelSource } from "../workers/catalog.ts";
import { createChildLauncher } from "../workers/child-launcher.ts";
import { createManagedModels } from "../workers/managed-models.ts";
import { ModelRepository } from "../workers/model-repository.ts";
import { createRemotePool } from "../workers/remote-pool.ts";
import { StatisticsRegistry } from "../workers/statistics-registry.ts";
import { countRestart, exposePools, exposeWorkers } from "../workers/worker-metrics.ts";
import type { GatewayConfig, GatewayContext } from "./options.ts";

/** What is made here. */
export interface ModelWorkers {
  readonly sources: readonly ModelSource[];
  readonly catalog: ModelCatalog;
  /** Models whose versions a program chooses; undefined without a folder for them. */
  readonly managed: ManagedModels | undefined;
  /** Starts the models. Rejects with a `GatewayError` where the repository cannot be served. */
  start(): Promise<void>;
  /** Ends all workers. Idempotent. */
  close(): void;
}

/** What it needs beside configuration and machine. */
export interface ModelWorkerParts {
  readonly config: GatewayConfig;
  readonly context: GatewayContext;
  /** Absolute path of the folder of models whose versions a program chooses, made where it is missing; undefined: none. */
  readonly managedFolder?: string | undefined;
  /** A model came up, failed or went. */
  readonly onChange: () => void;
}

/** Starts nothing yet. */
export function createModelWorkers({
  config,
  context,
  managedFolder,
  onChange,
}: ModelWorkerParts): ModelWorkers {
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
  const processes = {
    launcher,
    worker: config.workers,
    onRestart: (deployment: string) => countRestart(metrics, deployment),
  };
  const repository =
    config.repository === undefined
      ? undefined
      : new ModelRepository({ ...shared, ...processes, repository: config.repository });
  const managed =
    managedFolder === undefined
      ? undefined
      : createManagedModels({ ...shared, ...processes, directory: managedFolder });
  const repositories = [repository, managed?.repository].filter((one) => one !== undefined);
  const pools = config.pools
    .filter(isGrpcPool)
    .map((pool) => createRemotePool({ ...shared, pool, random: context.random }));
  const sources: ModelSource[] = [...repositories, ...pools];
  exposeWorkers(metrics, repositories, sources);
  exposePools(metrics, pools);
  return {
    sources,
    catalog: createCatalog({ repository, sources, statistics }),
    managed: managed?.models,
    async start() {
      if (managedFolder !== undefined) await mkdir(managedFolder, { recursive: true });
      await Promise.all([...repositories, ...pools].map((source) => source.start()));
    },
    close() {
      for (const each of repositories) each.close();
      for (const pool of pools) pool.close();
      launcher.close();
    },
  };
}
