/** Puts a gateway together: every engine gets what it needs as contracts, and nothing else. */
import type { ModelCatalog } from "../contracts/models.ts";
import { createAdmission } from "../stages/admission/admission.ts";
import { RequestLine } from "../stages/flowcontrol/line.ts";
import { createModelRouter } from "../stages/routing/model-router.ts";
import { createPipeline } from "../pipeline/pipeline.ts";
import { createCatalog, unknownModel, type ModelSource } from "../workers/catalog.ts";
import { createChildLauncher } from "../workers/child-launcher.ts";
import { ModelRepository } from "../workers/model-repository.ts";
import { createRemotePool } from "../workers/remote-pool.ts";
import { StatisticsRegistry } from "../workers/statistics-registry.ts";
import { countRestart, exposeWorkers } from "../workers/worker-metrics.ts";
import { openDoors, type Doors, type Listening } from "./doors.ts";
import type { GatewayConfig, GatewayContext } from "./options.ts";

/** A gateway that listens. */
export interface RunningGateway {
  readonly listening: Listening;
  readonly catalog: ModelCatalog;
  /** Called whenever a model came up, failed or went. One listener. */
  onModelChange(listener: () => void): void;
  /** Stops accepting, lets what runs finish for `graceMs`, ends all workers. Idempotent. */
  close(options: { readonly graceMs: number }): Promise<void>;
}

/**
 * Starts a gateway: listens first, so that a taken port is said at once, then starts the models.
 * Resolves when it listens and the workers are under way; `catalog.ready()` tells when all have come
 * up or failed. Throws a `GatewayError` with a sentence for people when it cannot start.
 */
export async function startGateway(config: GatewayConfig, context: GatewayContext): Promise<RunningGateway> {
  const { clock, logger, metrics } = context;
  const launcher = createChildLauncher({ program: context.workerProgram, logger });
  const statistics = new StatisticsRegistry({ clock, metrics });
  let modelsChanged = (): void => {};
  let doors: Doors | undefined;
  const shared = {
    clock,
    logger,
    statistics,
    createLine: (onRefused: ConstructorParameters<typeof RequestLine>[0]["onRefused"]) =>
      new RequestLine({ clock, maxQueue: config.flow.maxQueue, onRefused }),
    onChange: () => {
      doors?.notifyHealth();
      modelsChanged();
    },
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
  const pools = config.pools.map((pool) => createRemotePool({ ...shared, pool, random: context.random }));
  const sources: ModelSource[] = [...(repository === undefined ? [] : [repository]), ...pools];
  exposeWorkers(metrics, repository, sources);
  const pipeline = createPipeline({
    admission: createAdmission(config.access),
    routing: createModelRouter(sources, (model) => unknownModel(sources, model)),
    flowcontrol: (endpoint, entry) => endpoint.line.join(entry),
    forward: undefined,
  });
  const catalog = createCatalog({ repository, sources, statistics });
  const endWorkers = (): void => {
    repository?.close();
    for (const pool of pools) pool.close();
    launcher.close();
  };
  try {
    doors = await openDoors({ config, context, pipeline, catalog });
    await Promise.all([repository?.start(), ...pools.map((pool) => pool.start())]);
  } catch (error) {
    await doors?.close({ graceMs: 0 });
    endWorkers();
    throw error;
  }
  return {
    listening: doors.listening,
    catalog,
    onModelChange: (listener) => void (modelsChanged = listener),
    async close(options) {
      await doors.close(options);
      endWorkers();
    },
  };
}
