/** The detectors that are known here: from the configuration, from the store, from the cloud. Ids are found in any case. */
import type { EdgeOptions, EdgePolicy } from "../../contracts/edge-options.ts";
import type { Spending } from "../../contracts/edge-store.ts";
import type { LocalModel } from "../../contracts/local-inference.ts";
import type { Detector } from "../../core/detector.ts";
import { Budget, monthOf } from "./budget.ts";

/** A detector with all that decides how it is answered. */
export interface KnownDetector {
  /** As the cloud writes it; as the configuration does where the cloud has not told. */
  readonly id: string;
  /** Undefined: the configuration names it and the cloud has not told of it yet. */
  detector: Detector | undefined;
  policy: EdgePolicy;
  /** What answers here: of the configuration, else what the updater has published. */
  model: LocalModel | undefined;
  readonly localTimeoutMs: number;
  /** 0 to 1. */
  readonly auditRate: number | undefined;
  readonly calibration: EdgeOptions["defaults"]["calibration"];
  readonly budget: Budget;
  /** When the cloud last told of it, monotonic ms; undefined: not since the start. */
  learntAt: number | undefined;
  /** The configuration, or a document of `PUT /edge-config`, names it. */
  isConfigured: boolean;
}

/** One that has its question. */
export type ReadyDetector = KnownDetector & { readonly detector: Detector };

/** At most so many are known; those that nobody configured make room. */
const maxDetectors = 10_000;

/** All of them. */
export class DetectorRegistry {
  readonly #options: EdgeOptions;
  readonly #byKey = new Map<string, KnownDetector>();

  constructor(options: EdgeOptions) {
    this.#options = options;
    for (const { id, policy, detector, model, ...rest } of options.detectors) {
      const { localTimeoutMs, auditRate, calibration } = rest;
      this.#byKey.set(id.toLowerCase(), {
        id,
        detector,
        policy,
        model,
        localTimeoutMs,
        auditRate,
        calibration,
        budget: new Budget(rest.escalationsPerMonth),
        learntAt: undefined,
        isConfigured: true,
      });
    }
  }

  /** By its id in any case. */
  find(id: string): KnownDetector | undefined {
    return this.#byKey.get(id.toLowerCase());
  }

  /** In the order they became known, those of the configuration first. */
  all(): readonly KnownDetector[] {
    return [...this.#byKey.values()];
  }

  /**
   * What the cloud, or with `learntAt` undefined the store, says of a detector. What the configuration says of a question stays. Undefined where there
   * is no room for another.
   */
  learn(detector: Detector, learntAt: number | undefined): KnownDetector | undefined {
    const key = detector.id.toLowerCase();
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      if (known.detector?.origin !== "configuration") known.detector = detector;
      known.learntAt = learntAt;
      return known;
    }
    return this.#add(detector.id, detector, learntAt);
  }

  /** False where the configuration names it. */
  forget(id: string): boolean {
    const key = id.toLowerCase();
    const known = this.#byKey.get(key);
    return known !== undefined && isForgettable(known) && this.#byKey.delete(key);
  }

  /** These have their policies from now on, all others that of detectors that nobody names. */
  configure(assignments: readonly { readonly id: string; readonly policy: EdgePolicy }[]): void {
    for (const known of this.#byKey.values()) {
      known.policy = this.#options.defaults.policy;
      known.isConfigured = false;
    }
    for (const { id, policy } of assignments) {
      const known = this.find(id) ?? this.#add(id, undefined, undefined);
      if (known === undefined) return;
      known.policy = policy;
      known.isConfigured = true;
    }
  }

  /** What was spent before this start. */
  restoreSpending(spending: readonly Spending[], now: number): void {
    const month = monthOf(now);
    for (const each of spending) {
      const budget = this.find(each.detectorId)?.budget;
      if (budget === undefined) continue;
      budget.lastAt = Math.max(budget.lastAt, each.lastAt);
      if (each.period === month) budget.restore(month, each.escalations);
    }
  }

  #add(id: string, detector: Detector | undefined, learntAt: number | undefined): KnownDetector | undefined {
    if (this.#byKey.size >= maxDetectors && !this.#forgetOne()) return undefined;
    const { defaults } = this.#options;
    const made: KnownDetector = {
      id,
      detector,
      policy: defaults.policy,
      model: undefined,
      localTimeoutMs: defaults.localTimeoutMs,
      auditRate: defaults.auditRate,
      calibration: defaults.calibration,
      budget: new Budget(defaults.escalationsPerMonth),
      learntAt,
      isConfigured: false,
    };
    this.#byKey.set(id.toLowerCase(), made);
    return made;
  }

  #forgetOne(): boolean {
    for (const [key, known] of this.#byKey) if (isForgettable(known)) return this.#byKey.delete(key);
    return false;
  }
}

/** Nobody here has said anything about it that is not the cloud's to tell again. */
function isForgettable({ isConfigured, detector, model }: KnownDetector): boolean {
  return !isConfigured && detector?.origin !== "configuration" && model === undefined;
}
