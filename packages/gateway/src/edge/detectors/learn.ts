/** Finds detectors: those that are known, and those that the cloud knows. */
import { isCloudFailure, type Cloud, type CloudFailure } from "../../contracts/cloud.ts";
import type { EdgeStore } from "../../contracts/edge-store.ts";
import type { Clock } from "../../core/clock.ts";
import type { Cancellation } from "../../core/cancellation.ts";
import type { Detector } from "../../core/detector.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { DetectorRegistry, KnownDetector, ReadyDetector } from "./registry.ts";

/** What finding needs. */
export interface LearnDeps {
  readonly registry: DetectorRegistry;
  readonly store: EdgeStore;
  readonly cloud: Cloud | undefined;
  readonly clock: Clock;
  /** Only listed detectors are answered. */
  readonly rejectUnknown: boolean;
}

/** On whose behalf. */
export interface LearnCall {
  readonly token: string | undefined;
  readonly requestId: string;
  readonly cancellation: Cancellation;
}

/** How long the cloud may take to tell of a detector, ms. */
const learnTimeoutMs = 5_000;

/** At once for a detector that is known; else the cloud is asked and the answer kept. */
export function findDetector(
  deps: LearnDeps,
  id: string,
  call: LearnCall,
): ReadyDetector | Failure | Promise<ReadyDetector | Failure> {
  const known = deps.registry.find(id);
  if (known !== undefined && isReady(known)) return known;
  if (known?.isConfigured !== true && deps.rejectUnknown) return notConfigured(id);
  return ask(deps, known?.id ?? id, call);
}

function isReady(known: KnownDetector): known is ReadyDetector {
  return known.detector !== undefined;
}

async function ask(deps: LearnDeps, id: string, call: LearnCall): Promise<ReadyDetector | Failure> {
  const { cloud } = deps;
  if (cloud === undefined)
    return failure(
      "not_found",
      `No detector ${shown(id)}: it is not in the configuration, and there is no cloud`,
    );
  const told = await cloud.detector(id, { timeoutMs: learnTimeoutMs, ...call });
  if (isCloudFailure(told)) return whyUnknown(id, told);
  return keepDetector(deps, told);
}

/** Remembers a detector, over restarts where the store can be written. */
export async function keepDetector(
  { registry, store, clock }: Pick<LearnDeps, "registry" | "store" | "clock">,
  detector: Detector,
): Promise<ReadyDetector | Failure> {
  const known = registry.learn(detector, clock.now());
  if (known === undefined || !isReady(known))
    return failure("overloaded", "Too many detectors are known here");
  // Kept or not, it can be answered now.
  await store.keepDetector({ id: known.id, record: JSON.stringify(known.detector) });
  return known;
}

function whyUnknown(id: string, { kind, status, detail }: CloudFailure): Failure {
  if (kind === "refused" && status === 404)
    return failure("not_found", `No detector ${shown(id)}: neither the configuration nor the cloud knows it`);
  if (kind === "unauthorized")
    return failure("forbidden", `The detector ${shown(id)} is not known here, and the cloud says: ${detail}`);
  return failure(
    "upstream_unreachable",
    `The detector ${shown(id)} is not known here, and the cloud cannot tell of it now: ${detail}`,
  );
}

function notConfigured(id: string): Failure {
  return failure(
    "bad_request",
    `The detector ${shown(id)} is not in the configuration, and others are refused (edge.rejectUnknownDetectors)`,
  );
}

function shown(id: string): string {
  return JSON.stringify(id.slice(0, 100));
}
