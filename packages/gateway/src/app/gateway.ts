/** Puts a gateway together: every engine gets what it needs as contracts, and nothing else. */
import type { ModelEscalation } from "../contracts/escalation.ts";
import type { ForwardCatalog } from "../contracts/http-endpoint.ts";
import type { ModelCatalog } from "../contracts/models.ts";
import { createAdmission } from "../stages/admission/admission.ts";
import { enter } from "../stages/admission/enter.ts";
import { KeyRing } from "../stages/admission/key-ring.ts";
import { createModelEscalation } from "../stages/escalation/model-escalation.ts";
import { refuseTensors } from "../stages/routing/forward-router.ts";
import { createTraitsReader } from "../stages/routing/read-traits.ts";
import { createModelRouter } from "../stages/routing/model-router.ts";
import { createPipeline } from "../pipeline/pipeline.ts";
import { RecentRequests } from "../telemetry/index.ts";
import { unknownModel, type ModelSource } from "../workers/catalog.ts";
import { createEdge } from "./edge.ts";
import { fetchedModels } from "./edge-updater.ts";
import { openDoors, type Doors, type Listening } from "./doors.ts";
import { createForwarding, type Forwarding } from "./forward.ts";
import { createLlama } from "./llama.ts";
import { ConfigReloads } from "./config-reloads.ts";
import type { ReadConfig } from "./config-source.ts";
import type { Running } from "./apply-config.ts";
import { KeyKeeper } from "./keys.ts";
import { createModelWorkers } from "./model-workers.ts";
import type { GatewayContext } from "./options.ts";

/** A gateway that listens. */
export interface RunningGateway {
  readonly listening: Listening;
  readonly catalog: ModelCatalog;
  /** Models of HTTP servers. */
  readonly forward: ForwardCatalog;
  /** Called whenever a model came up, failed or went. One listener. */
  onModelChange(listener: () => void): void;
  /**
   * Reads the configuration again where it has a source. What is good is put in place for new requests, or waits for a
   * restart; what is not is logged and changes nothing. Resolves when that is done; never rejects.
   */
  reload(): Promise<void>;
  /** Stops accepting, lets what runs finish for `graceMs`, ends all workers. Idempotent. */
  close(options: { readonly graceMs: number }): Promise<void>;
}

/**
 * Starts a gateway: listens first, so that a taken port is said at once, then starts the models.
 * Resolves when it listens and the workers are under way; `catalog.ready()` tells when all have come
 * up or failed. Throws a `GatewayError` with a sentence for people when it cannot start.
 */
export async function startGateway(config: ReadConfig, context: GatewayContext): Promise<RunningGateway> {
  let modelsChanged = (): void => {};
  let doors: Doors | undefined;
  let edgeChanged = (): void => {};
  const onChange = (): void => {
    doors?.notifyHealth();
    edgeChanged();
    modelsChanged();
  };
  const managedFolder = fetchedModels(config, context);
  const workers = createModelWorkers({ config, context, managedFolder, onChange });
  const { sources, catalog: models } = workers;
  const records = new RecentRequests();
  const forwarding = await createForwarding({
    config,
    context,
    isPredictive: (model) => sources.some((source) => source.endpointFor(model, undefined) !== undefined),
    ownPorts: () => (doors === undefined ? [] : portsOf(doors.listening)),
    onChange,
    records,
  });
  const llama = createLlama({ config, context, pools: forwarding.own });
  const ring = new KeyRing(context);
  const escalation = escalationOf(config, context);
  const stages = createStages({ config, sources, ring, forwarding, escalation });
  const pipeline = createPipeline(stages);
  const catalog: ModelCatalog = { ...models, ready: () => models.ready() && forwarding.catalog.ready() };
  const edge =
    config.edge &&
    createEdge({ options: config.edge, context, pipeline, catalog: models, managed: workers.managed });
  if (edge !== undefined) edgeChanged = () => edge.modelsChanged();
  const forward = forwarding.catalog;
  const surfaces = { ...forwarding, config, context, pipeline, catalog, forward, records, edge };
  const keys = new KeyKeeper({ ...context, ring });
  let reloads: ConfigReloads | undefined;
  const endAll = async (): Promise<void> => {
    reloads?.close();
    keys.close();
    llama?.close();
    forwarding.close();
    workers.close();
    await edge?.close();
  };
  try {
    (await keys.prepare(config.access)).commit();
    doors = await openDoors(surfaces);
    forwarding.start();
    await llama?.start();
    await Promise.all([workers.start(), edge?.start()]);
    const parts = { stages, escalation, ring, keys, forwarding, doors };
    reloads = followConfig({ ...parts, config, context, onChange });
    await reloads?.start();
  } catch (error) {
    await doors?.close({ graceMs: 0 });
    await endAll();
    throw error;
  }
  const opened = doors;
  return {
    listening: opened.listening,
    catalog,
    forward,
    onModelChange: (listener) => void (modelsChanged = listener),
    reload: async () => reloads?.reload(),
    close(options) {
      reloads?.close();
      return opened.close(options).then(endAll);
    },
  };
}

/** Undefined where no model escalates. */
function escalationOf({ escalate }: ReadConfig, context: GatewayContext): Running["escalation"] {
  return escalate.length === 0 ? undefined : createModelEscalation(escalate, context);
}

function createStages(parts: {
  readonly config: ReadConfig;
  readonly sources: readonly ModelSource[];
  readonly ring: KeyRing;
  readonly forwarding: Forwarding;
  readonly escalation: ModelEscalation | undefined;
}): Running["stages"] {
  const { config, sources, ring, forwarding, escalation } = parts;
  return {
    admission: createAdmission(config.access, ring),
    enter,
    traits: createTraitsReader(config.traits),
    routing: createModelRouter(
      sources,
      ({ model, caller }) => refuseTensors(forwarding.catalog, model) ?? unknownModel(sources, model, caller),
    ),
    flowcontrol: (endpoint, entry) => endpoint.line.join(entry),
    escalation,
    forward: forwarding.stages,
  };
}

/** Undefined where the configuration has no source. */
function followConfig(running: Running): ConfigReloads | undefined {
  const { context, config } = running;
  const { source } = context;
  if (source === undefined) return undefined;
  return new ConfigReloads({
    ...context,
    source,
    config,
    apply: async (next, isWanted) => {
      const { applyConfig } = await import("./apply-config.ts");
      return applyConfig(running, next, isWanted);
    },
  });
}

function portsOf({ http, grpc, extProc }: Listening): number[] {
  return [...http, ...[grpc, extProc].filter((each) => each !== undefined)].map(({ port }) => port);
}
