/** Puts the edge endpoint together. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { EdgeOptions } from "../contracts/edge-options.ts";
import type { ModelCatalog } from "../contracts/models.ts";
import type { Pipeline } from "../contracts/pipeline.ts";
import type { Route } from "../contracts/route.ts";
import { answerQuery, type AnswerDeps } from "../edge/answer-query.ts";
import { Budget } from "../edge/detectors/budget.ts";
import { DetectorRegistry } from "../edge/detectors/registry.ts";
import { createPipelineInference } from "../edge/local/pipeline-inference.ts";
import { noObserver } from "../edge/no-observer.ts";
import { createQueryIds } from "../edge/query-ids.ts";
import { createSubmitRoutes } from "../edge/routes/submit-route.ts";
import { DeferredStore } from "../store/deferred-store.ts";
import { openEdgeStore } from "../store/open-edge-store.ts";
import type { GatewayContext } from "./options.ts";

/** What the edge endpoint is made from. */
export interface EdgeParts {
  readonly options: EdgeOptions;
  readonly context: GatewayContext;
  readonly pipeline: Pipeline;
  readonly catalog: ModelCatalog;
}

/** The edge endpoint. */
export interface Edge {
  /** On every HTTP listener. */
  readonly routes: readonly Route[];
  /** Reads what was kept and begins to send what waits. Never rejects. */
  start(): Promise<void>;
  /** Writes what waits and ends. Idempotent. */
  close(): Promise<void>;
}

/** Starts nothing yet. */
export function createEdge({ options, context, pipeline, catalog }: EdgeParts): Edge {
  const { clock, logger, random } = context;
  const store = new DeferredStore({
    clock,
    open: () =>
      openEdgeStore({
        folder: resolve(context.dataFolder ?? ".spillway"),
        clock,
        log: logger,
        limits: {
          maxOutboxBytes: options.outboxBytes,
          ringBytes: options.ring.bytes,
          ringBytesPerSecond: options.ring.bytesPerSecond,
        },
      }),
    onState: (problem) => {
      if (problem === undefined) logger.info("edge_store_opened");
      else logger.warn("edge_store_unavailable", { reason: problem.message });
    },
  });
  const deps: AnswerDeps = {
    clock,
    random,
    logger,
    registry: new DetectorRegistry(options),
    settings: { auditRate: options.auditRate, refreshMs: options.refreshMs },
    local: createPipelineInference({ pipeline, catalog, clock }),
    cloud: undefined,
    cloudTimeoutMs: options.cloud?.timeoutMs ?? 0,
    hasDeviceToken: options.cloud?.token !== undefined,
    store,
    observer: noObserver,
    budget: new Budget(options.escalationsPerMonth),
    nextId: createQueryIds({ clock, random }),
    calibrate: (_detector, { confidence }) => confidence,
    reveal: (secret) => secret.reveal((path) => readFileSync(path, "utf8")),
    rejectUnknown: options.rejectUnknownDetectors,
  };
  return {
    routes: [...createSubmitRoutes((call) => answerQuery(deps, call))],
    async start() {},
    close: () => store.close(),
  };
}
