/** What answering an image query needs. */
import type { Cloud } from "../contracts/cloud.ts";
import type { EdgeObserver } from "../contracts/edge-observer.ts";
import type { EdgeStore } from "../contracts/edge-store.ts";
import type { LocalInference } from "../contracts/local-inference.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Cancellation } from "../core/cancellation.ts";
import type { Clock } from "../core/clock.ts";
import type { LocalAnswer, QuerySubmission } from "../core/detector.ts";
import type { Random } from "../core/random.ts";
import type { Caller } from "../core/request.ts";
import type { Secret } from "../core/secret.ts";
import type { CalibratedAnswer } from "./calibration/calibrator.ts";
import type { Budget } from "./detectors/budget.ts";
import type { DetectorRegistry, ReadyDetector } from "./detectors/registry.ts";
import type { LaterQueries } from "./later-queries.ts";

/** What is set for all detectors and may change while the gateway runs. */
export interface EdgeSettings {
  /** Share of sure answers that the cloud checks, 0 to 1. */
  auditRate: number;
  /** How often the cloud is asked for newer models, ms. */
  refreshMs: number;
}

/** Everything that answers image queries shares. */
export interface QueryDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly registry: DetectorRegistry;
  readonly settings: EdgeSettings;
  readonly local: LocalInference;
  /** Undefined: there is none. */
  readonly cloud: Cloud | undefined;
  /** From the receipt of a query to the cloud's answer at most, ms. */
  readonly cloudTimeoutMs: number;
  /** The device has a token of its own: callers' tokens are not used for its detectors. */
  readonly hasDeviceToken: boolean;
  readonly store: EdgeStore;
  readonly observer: EdgeObserver;
  /** Of all detectors together. */
  readonly budget: Budget;
  readonly later: LaterQueries;
  readonly nextId: () => string;
  /** Confidence after calibration, and the threshold that comes with it where the query names none. */
  readonly calibrate: (detector: ReadyDetector, answer: LocalAnswer) => CalibratedAnswer;
  readonly reveal: (secret: Secret) => string;
}

/** A query as a route hands it over. */
export interface QueryCall {
  readonly submission: QuerySubmission;
  readonly picture: Uint8Array;
  readonly mediaType: string;
  readonly caller: Caller;
  readonly requestId: string;
  /** Monotonic, ms. */
  readonly receivedAt: number;
  readonly cancellation: Cancellation;
  /** The caller's token of the cloud; undefined: none, or a key of this gateway. */
  readonly token: string | undefined;
  /** Id of the query where its call may be repeated. Default: a new one. */
  readonly queryId?: string;
  /** Of a query that an earlier process promised to answer, ms since the Unix epoch. */
  readonly promisedAt?: number;
}
