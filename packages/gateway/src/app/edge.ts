/** Puts the edge endpoint together. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Cloud } from "../contracts/cloud.ts";
import type { EdgeOptions } from "../contracts/edge-options.ts";
import type { ManagedModels } from "../contracts/managed-models.ts";
import type { ModelCatalog } from "../contracts/models.ts";
import type { Pipeline } from "../contracts/pipeline.ts";
import type { Route } from "../contracts/route.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Secret } from "../core/secret.ts";
import { isFailure, type Failure } from "../core/errors.ts";
import { AccountMemory } from "../edge/account-memory.ts";
import { answerQuery, resumePromised, type AnswerDeps } from "../edge/answer-query.ts";
import { Calibrator } from "../edge/calibration/calibrator.ts";
import { createCloud } from "../edge/cloud/create-cloud.ts";
import { createConfigFile, type ConfigFile } from "../edge/config-file.ts";
import { Budget } from "../edge/detectors/budget.ts";
import { DetectorRegistry } from "../edge/detectors/registry.ts";
import { CloudTokens } from "../edge/escalation/cloud-tokens.ts";
import { EscalationDrain } from "../edge/escalation/escalation-drain.ts";
import { restoreDetectors } from "../edge/detectors/restore.ts";
import { Forwarding } from "../edge/forward.ts";
import {
  createInferenceServers,
  withInferenceServers,
  type InferenceServers,
} from "../edge/inference-server/inference-servers.ts";
import { LaterQueries } from "../edge/later-queries.ts";
import { createPipelineInference } from "../edge/local/pipeline-inference.ts";
import { createQueryIds } from "../edge/query-ids.ts";
import type { QueryCall } from "../edge/query-deps.ts";
import { RepeatedCalls } from "../edge/repeated-calls.ts";
import { createEdgePortRoutes, createEdgeRoutes } from "../edge/routes/create-edge-routes.ts";
import { RuntimeConfig } from "../edge/runtime-config.ts";
import { tellAll } from "../edge/tell-all.ts";
import { askServer } from "../endpoints/ask-server.ts";
import { createConnectionFactory } from "../stages/upstream/server-connections.ts";
import { DeferredStore } from "../store/deferred-store.ts";
import { openEdgeStore } from "../store/open-edge-store.ts";
import { createMonitoring, type EdgeMonitoring } from "./edge-monitor.ts";
import { createEdgeUpdater } from "./edge-updater.ts";
import type { GatewayContext } from "./options.ts";

/** What the edge endpoint is made from. */
export interface EdgeParts {
  readonly options: EdgeOptions;
  readonly context: GatewayContext;
  readonly pipeline: Pipeline;
  readonly catalog: ModelCatalog;
  /** Where fetched models are served; undefined: none are fetched. */
  readonly managed: ManagedModels | undefined;
}

/** The edge endpoint. */
export interface Edge {
  /** On every HTTP listener. */
  readonly routes: readonly Route[];
  /** On listeners for cameras, beside those. */
  readonly portRoutes: readonly Route[];
  /** Why nothing can be kept; undefined where it can, or nothing had to be yet. */
  readonly storageProblem: Failure | undefined;
  /** Reads what was kept and begins to send what waits. Never rejects. */
  start(): Promise<void>;
  /** A model came up, failed or went. */
  modelsChanged(): void;
  /** Writes what waits and ends. Idempotent. */
  close(): Promise<void>;
}

/** Starts nothing yet. Throws a `GatewayError` where a file that the configuration names cannot be read. */
export function createEdge(parts: EdgeParts): Edge {
  const { options, context, catalog } = parts;
  const folder = resolve(context.dataFolder ?? ".spillway");
  let drain: EscalationDrain | undefined;
  const store = createStore(folder, parts, () => drain?.wake());
  const made = createDeps(parts, store);
  const { cloud, registry, settings, budget, calibrator } = made;
  const tokens = new CloudTokens({ ...made, policyOf: (id) => registry.find(id)?.policy });
  const updater = createEdgeUpdater(parts, { ...made, tokens });
  const monitoring = createMonitoring({
    ...parts,
    ...made,
    updateOf: (id) => updater?.statusOf(id),
    calibrationOf: (id) => calibrator.summary(id),
    edgeConfig: () => config.document(),
  });
  const observers = [calibrator, monitoring.observer, ...(updater ? [updater.observer] : [])];
  const deps = { ...made, observer: tellAll(...observers) };
  if (cloud !== undefined) drain = new EscalationDrain({ ...deps, cloud, tokenOf: (id) => tokens.of(id) });
  const { logger, clock } = context;
  const file = createConfigFile(folder, options);
  const config = new RuntimeConfig({
    options,
    registry,
    settings,
    logger,
    save: (saved) => file.write(saved),
  });
  const { metrics } = context;
  const forwarding = new Forwarding({ ...deps, metrics });
  const deviceToken = (): string | undefined => options.cloud?.token && deps.reveal(options.cloud.token);
  const account = rememberAccount(parts, folder, deviceToken);
  const routeDeps = {
    ...deps,
    answer: answerWith(deps, tokens),
    forwarding,
    config,
    deviceToken,
    account,
    updater,
  };
  const promised = promisedQueries(deps, catalog);
  return {
    routes: [...createEdgeRoutes(routeDeps), ...monitoring.routes],
    portRoutes: createEdgePortRoutes(forwarding),
    get storageProblem() {
      return store.problem;
    },
    async start() {
      await restoreConfig(file, config, logger);
      // A folder that is not there holds nothing, and is made when there is something to keep.
      if (cloud === undefined && updater === undefined && !existsSync(folder)) return;
      await account.load();
      await calibrator.start();
      await restoreDetectors({ store, registry, budget, now: clock.wallNow() });
      promised.restored();
      drain?.start();
      monitoring.start();
      await updater?.start();
    },
    modelsChanged: () => promised.resume(),
    close: () => closeInOrder(made, { updater, drain, monitoring }),
  };
}

/** What asks ends first, the store last: what was counted until then is written. */
async function closeInOrder(
  { later, cloud, calibrator, servers, store }: ReturnType<typeof createDeps>,
  users: {
    readonly updater: { close(): Promise<void> } | undefined;
    readonly drain: EscalationDrain | undefined;
    readonly monitoring: EdgeMonitoring;
  },
): Promise<void> {
  later.close();
  await users.updater?.close();
  await users.drain?.close();
  users.monitoring.close();
  cloud?.close();
  calibrator.close();
  servers.close();
  await store.close();
}

/** Puts the configuration of the last `PUT /edge-config` in force again; one that cannot be read is logged and passed over. */
async function restoreConfig(file: ConfigFile, config: RuntimeConfig, logger: Logger): Promise<void> {
  const saved = await file.read();
  if (saved === undefined) return;
  const problem = isFailure(saved) ? saved : config.restore(saved);
  if (problem !== undefined) logger.warn("edge_config_unreadable", { reason: problem.message });
}

/** Answers what earlier processes promised for later, once, as soon as detectors and models are there. */
function promisedQueries(
  deps: AnswerDeps,
  catalog: ModelCatalog,
): { readonly restored: () => void; readonly resume: () => void } {
  let isRestored = false;
  let isResumed = false;
  const resume = (): void => {
    if (!isRestored || isResumed || !catalog.ready()) return;
    isResumed = true;
    void resumePromised(deps).then((count) => {
      if (count > 0) deps.logger.info("edge_queries_resumed", { count });
    });
  };
  const restored = (): void => {
    isRestored = true;
    resume();
  };
  return { restored, resume };
}

function rememberAccount(
  { options, context }: EdgeParts,
  folder: string,
  deviceToken: () => string | undefined,
): AccountMemory {
  const token = (): string | undefined => {
    try {
      return deviceToken();
    } catch {
      // A file that is away: calls of the cloud say so.
      return undefined;
    }
  };
  return new AccountMemory({ folder, origin: options.cloud?.origin ?? "", token, logger: context.logger });
}

function answerWith(
  deps: AnswerDeps,
  tokens: CloudTokens,
): (call: QueryCall, repeatable: string | undefined) => ReturnType<typeof answerQuery> {
  const { clock, nextId } = deps;
  const calls = new RepeatedCalls({ clock, nextId, answer: (call) => answerQuery(deps, call) });
  return (call, repeatable) => {
    tokens.remember(call.submission.detectorId, call.token);
    return repeatable === undefined ? answerQuery(deps, call) : calls.answer(call, repeatable);
  };
}

function createStore(folder: string, { options, context }: EdgeParts, onQueued: () => void): DeferredStore {
  const { clock, logger } = context;
  const limits = {
    maxOutboxBytes: options.outboxBytes,
    ringBytes: options.ring.bytes,
    ringBytesPerSecond: options.ring.bytesPerSecond,
  };
  return new DeferredStore({
    clock,
    open: () => openEdgeStore({ folder, clock, log: logger, limits }),
    onQueued,
    onState: (problem) => {
      if (problem === undefined) logger.info("edge_store_opened", { folder });
      else logger.warn("edge_store_unavailable", { folder, reason: problem.message });
    },
  });
}

function createDeps({ options, context, pipeline, catalog }: EdgeParts, store: DeferredStore) {
  const { clock, logger, random } = context;
  const registry = new DetectorRegistry(options);
  const calibrator = new Calibrator({
    store,
    clock,
    random,
    logger,
    // Without a cloud there is nothing to be compared with.
    options: (id) => (options.cloud === undefined ? undefined : registry.find(id)?.calibration),
  });
  const connect = createConnectionFactory({ clock });
  const servers = createInferenceServers({ connect, ask: askServer, clock });
  return {
    clock,
    random,
    logger,
    registry,
    calibrator,
    settings: { auditRate: options.auditRate, refreshMs: options.refreshMs },
    servers,
    local: withInferenceServers(createPipelineInference({ pipeline, catalog, clock }), servers),
    cloud: connectCloud(options, context),
    cloudTimeoutMs: options.cloud?.timeoutMs ?? 0,
    hasDeviceToken: options.cloud?.token !== undefined,
    store,
    budget: new Budget(options.escalationsPerMonth),
    later: new LaterQueries(),
    nextId: createQueryIds({ clock, random }),
    calibrate: ({ id, detector, calibration }, answer) =>
      calibrator.calibrated({ id, mode: detector.mode, options: calibration }, answer),
    reveal: revealSecret,
    rejectUnknown: options.rejectUnknownDetectors,
  } satisfies Omit<AnswerDeps, "observer"> & {
    readonly calibrator: Calibrator;
    readonly servers: InferenceServers;
  };
}

function connectCloud({ cloud }: EdgeOptions, { clock, logger, version }: GatewayContext): Cloud | undefined {
  if (cloud === undefined) return undefined;
  const connect = createConnectionFactory({ clock });
  return createCloud({ options: cloud, connect, ask: askServer, clock, logger, version });
}

function revealSecret(secret: Secret): string {
  return secret.reveal((path) => readFileSync(path, "utf8"));
}
