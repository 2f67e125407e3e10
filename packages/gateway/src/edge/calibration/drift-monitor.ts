/** Notices that a calibration no longer holds: the cloud agrees less often than it says, or other confidences come than it saw. */
import { applyModel } from "./calibration-model.ts";
import type { CalibrationModel } from "./calibration-model.ts";
import { sumsOf, type CalibrationPair, type SortedPairs } from "./pairs.ts";
import { finish, type Steps } from "./steps.ts";

/** What a calibration was made of, for comparison. Plain JSON. */
export interface DriftReference {
  readonly model: CalibrationModel;
  /** Lower edges of ranges of confidence from the second range on, rising. */
  readonly edges: readonly number[];
  /** Share of the answers in each range: one more than edges. */
  readonly shares: readonly number[];
  /** How many pairs of equal weight the shares come from. */
  readonly effectivePairs: number;
}

/** When to speak of drift. */
export interface DriftSettings {
  /** Comparisons between two false alarms, at least, on average. Default 10,000. */
  readonly falseAlarmEvery?: number;
  /** How many times the odds of a disagreement are to be noticed. Default 2. */
  readonly oddsRatio?: number;
  /** Answers that the look at confidences goes back. Default 1,000. */
  readonly window?: number;
}

/** Whether a calibration still holds. */
export interface DriftReport {
  readonly drifting: boolean;
  readonly why: "agreement_fell" | "confidences_moved" | undefined;
  /** About when it began: milliseconds since the Unix epoch. */
  readonly since: number | undefined;
  /** Evidence for more disagreements, in nats; `agreement_fell` from `scoreLimit` on. */
  readonly score: number;
  readonly scoreLimit: number;
  /** Population stability index of the last answers; 0 before there are enough. */
  readonly stability: number;
}

/** What a monitor knows, as plain JSON, to go on after a restart. */
export interface DriftState {
  readonly score: number;
  readonly scoreSince: number | undefined;
  /** Weight in each range of confidence, older answers weighing less. */
  readonly counts: readonly number[];
  /** Sum of the squares of those weights. */
  readonly squares: number;
  readonly stability: number;
  readonly movedSince: number | undefined;
}

const RANGES = 10;

/** Done in a step. */
const STEP_PAIRS = 4096;

/** Stability index above which a population counts as another one (Siddiqi, "Credit Risk Scorecards", 2006). */
const MOVED = 0.25;

/** Standard deviations of luck that a moved population must exceed, as it is looked at again and again. */
const LUCK = 4;

/** Sorts the answers that pairs stand for into ten ranges of equal weight, fewer where confidences repeat. */
export function driftReference(
  model: CalibrationModel,
  pairs: SortedPairs,
  effectivePairs: number,
): DriftReference {
  return finish(referenceSteps(model, pairs, effectivePairs));
}

/** `driftReference` in steps. */
export function* referenceSteps(
  model: CalibrationModel,
  pairs: SortedPairs,
  effectivePairs: number,
): Steps<DriftReference> {
  const { sum: all } = sumsOf(pairs.weight);
  const edges: number[] = [];
  const shares: number[] = [];
  let inRange = 0;
  let before = 0;
  for (let place = 0; place < pairs.confidence.length; place += 1) {
    if (place % STEP_PAIRS === 0) yield;
    const confidence = pairs.confidence[place] ?? 0;
    const full = before + inRange >= (all * (edges.length + 1)) / RANGES;
    if (full && inRange > 0 && edges.length < RANGES - 1 && confidence > (pairs.confidence[place - 1] ?? 0)) {
      edges.push(confidence);
      shares.push(inRange / all);
      before += inRange;
      inRange = 0;
    }
    inRange += pairs.weight[place] ?? 0;
  }
  return { model, edges, shares: [...shares, all > 0 ? inRange / all : 1], effectivePairs };
}

/** A monitor of one detector's calibration, in a few hundred bytes. */
export interface DriftMonitor {
  /** The edge answered with this confidence, whether or not the cloud is asked. `at`: milliseconds since the Unix epoch. */
  answered(confidence: number, at: number): void;
  /** The cloud answered too. Weights do not matter: agreement is held against what the calibration says for that confidence. */
  compared(pair: Pick<CalibrationPair, "confidence" | "agreed">, at: number): void;
  report(): DriftReport;
  state(): DriftState;
}

/** A monitor that starts afresh, or from the state of an earlier one. */
export function createDriftMonitor(
  reference: DriftReference,
  settings: DriftSettings = {},
  state?: DriftState,
): DriftMonitor {
  const agreement = new AgreementTest(reference.model, settings, state);
  const confidences = new ConfidenceTest(reference, settings, state);
  return {
    answered: (confidence, at) => confidences.see(confidence, at),
    compared: ({ confidence, agreed }, at) => agreement.see(confidence, agreed, at),
    report() {
      const { score, limit, since } = agreement;
      const fell = score >= limit;
      const moved = confidences.movedSince;
      return {
        drifting: fell || moved !== undefined,
        why: fell ? "agreement_fell" : moved === undefined ? undefined : "confidences_moved",
        since: fell ? since : moved,
        score,
        scoreLimit: limit,
        stability: confidences.stability,
      };
    },
    state: () => ({ score: agreement.score, scoreSince: agreement.since, ...confidences.state() }),
  };
}

/**
 * The cumulative sum of Page ("Continuous Inspection Schemes", Biometrika 41, 1954): the log of how much likelier each outcome is
 * if disagreements have `oddsRatio` times the odds the calibration gives them, never below 0. With a limit of ln(n) at least n
 * comparisons lie between false alarms on average (Lorden, Annals of Mathematical Statistics 42, 1971). One comparison adds at
 * most ln(oddsRatio), however sure the model was.
 */
class AgreementTest {
  readonly limit: number;
  score: number;
  /** When the score last rose from 0, which is about when the change was. */
  since: number | undefined;
  readonly #model: CalibrationModel;
  readonly #ratio: number;

  constructor(model: CalibrationModel, settings: DriftSettings, state: DriftState | undefined) {
    this.#model = model;
    this.#ratio = settings.oddsRatio ?? 2;
    this.limit = Math.log(settings.falseAlarmEvery ?? 10_000);
    this.score = state?.score ?? 0;
    this.since = state?.scoreSince;
  }

  see(confidence: number, agreed: boolean, at: number): void {
    if (!(confidence >= 0 && confidence <= 1)) return;
    const disagreeing = 1 - applyModel(this.#model, confidence);
    // (1 − p₁)/(1 − p₀) and p₁/p₀ for the odds p₁/(1 − p₁) = ratio · p₀/(1 − p₀).
    const agreeing = -Math.log1p((this.#ratio - 1) * disagreeing);
    const change = agreed ? agreeing : agreeing + Math.log(this.#ratio);
    if (this.score === 0 && change > 0) this.since = at;
    // At twice the limit a detector that is right again is believed after as many comparisons as it took to doubt it.
    this.score = Math.min(Math.max(0, this.score + change), 2 * this.limit);
    if (this.score === 0) this.since = undefined;
  }
}

/** The population stability index Σ (p − q) ln(p/q) of the last answers' confidences against those calibrated with. */
class ConfidenceTest {
  stability: number;
  /** Since when the population has been another one. */
  movedSince: number | undefined;
  readonly #reference: DriftReference;
  readonly #counts: number[];
  readonly #keep: number;
  readonly #lookEvery: number;
  #squares: number;
  #untilLook: number;

  constructor(reference: DriftReference, { window = 1000 }: DriftSettings, state: DriftState | undefined) {
    this.#reference = reference;
    this.#keep = 1 - 1 / Math.max(window, 20);
    this.#lookEvery = Math.max(1, Math.floor(window / 20));
    this.#untilLook = this.#lookEvery;
    const fits = state?.counts.length === reference.shares.length;
    this.#counts = fits ? [...state.counts] : reference.shares.map(() => 0);
    this.#squares = fits ? state.squares : 0;
    this.stability = fits ? state.stability : 0;
    this.movedSince = fits ? state.movedSince : undefined;
  }

  see(confidence: number, at: number): void {
    if (!(confidence >= 0 && confidence <= 1)) return;
    const { edges } = this.#reference;
    let range = 0;
    while (range < edges.length && confidence >= (edges[range] ?? 0)) range += 1;
    for (let place = 0; place < this.#counts.length; place += 1)
      this.#counts[place] = (this.#counts[place] ?? 0) * this.#keep;
    this.#counts[range] = (this.#counts[range] ?? 0) + 1;
    this.#squares = this.#squares * this.#keep * this.#keep + 1;
    this.#untilLook -= 1;
    if (this.#untilLook <= 0) this.#look(at);
  }

  state(): Omit<DriftState, "score" | "scoreSince"> {
    const { stability, movedSince } = this;
    return { counts: [...this.#counts], squares: this.#squares, stability, movedSince };
  }

  /** Luck alone gives (1/n + 1/m) χ² with one degree of freedom less than ranges (Yurdakul, 2018). */
  #look(at: number): void {
    this.#untilLook = this.#lookEvery;
    const { shares, effectivePairs } = this.#reference;
    const seen = this.#counts.reduce((sum, count) => sum + count, 0);
    const effective = (seen * seen) / this.#squares;
    if (shares.length < 2 || effective < 10 * shares.length) return;
    this.stability = this.#counts.reduce((sum, count, range) => {
      const now = (count / seen) * effective;
      const p = (now + 0.5) / (effective + 0.5 * shares.length);
      const q = ((shares[range] ?? 0) * effectivePairs + 0.5) / (effectivePairs + 0.5 * shares.length);
      return sum + (p - q) * Math.log(p / q);
    }, 0);
    const luck = (1 / effective + 1 / effectivePairs) * chiSquared(shares.length - 1);
    const moved = this.stability > Math.max(MOVED, luck);
    this.movedSince = moved ? (this.movedSince ?? at) : undefined;
  }
}

/** The value that χ² exceeds as seldom as a normal number exceeds LUCK standard deviations (Wilson and Hilferty, 1931). */
function chiSquared(freedom: number): number {
  const spread = 2 / (9 * freedom);
  return freedom * (1 - spread + LUCK * Math.sqrt(spread)) ** 3;
}
