/** Made-up detectors whose true agreement is known, for calibration: tests and figures draw from the same ones. */
import type { Random } from "../../bench/load/random.ts";

/** An answer of the edge and whether the cloud would agree. */
export interface SyntheticAnswer {
  readonly confidence: number;
  readonly agreed: boolean;
  /** The probability with which it was drawn to agree. */
  readonly truth: number;
}

/** Draws the answer at `progress` (0..1) of the detector's life. */
export type SyntheticDetector = (random: Random, progress: number) => SyntheticAnswer;

/** How a detector's confidence comes from the log-odds of its being right, and what it says of itself. */
interface Shape {
  /** Confidence from log-odds. */
  readonly says: (logOdds: number) => number;
  /** Added to the log-odds of agreement, after the model has spoken. */
  readonly shift?: (progress: number) => number;
}

/** Log-odds of agreement are normal, with a mean agreement of 91 %. */
const MEAN = 3.5;
const DEVIATION = 2;

const shapes = {
  /** Says what is true. */
  calibrated: { says: sigmoid },
  /** Says 99 % where 86 % are right. */
  overconfident: { says: (logOdds) => sigmoid(2.5 * logOdds) },
  /** Says 73 % where 88 % are right. */
  underconfident: { says: (logOdds) => sigmoid(0.5 * logOdds) },
  /** Bent as neither temperature nor offset can straighten. */
  bent: { says: (logOdds) => 0.5 + 0.5 * sigmoid(logOdds - 3) ** 3 },
  /** Over-confident, in steps of 0.05. */
  discrete: { says: (logOdds) => Math.round(20 * sigmoid(1.2 * logOdds)) / 20 },
  /** The odds of a disagreement are three times as high in the second half. */
  drifting: { says: sigmoid, shift: (progress) => (progress < 0.5 ? 0 : -Math.log(3)) },
  /** Is always right. */
  perfect: { says: sigmoid, shift: () => Infinity },
  /** Is right four times in five, whatever it says. */
  clueless: { says: sigmoid, shift: () => Number.NaN },
} as const satisfies Record<string, Shape>;

/** The detectors by name. */
export type SyntheticDetectorName = keyof typeof shapes;

/** A detector by its name. */
export function syntheticDetector(name: SyntheticDetectorName): SyntheticDetector {
  const { says, shift }: Shape = shapes[name];
  return (random, progress) => {
    const logOdds = MEAN + DEVIATION * normal(random);
    const moved = logOdds + (shift?.(progress) ?? 0);
    const truth = Number.isNaN(moved) ? 0.8 : sigmoid(moved);
    return { confidence: says(logOdds), agreed: random() < truth, truth };
  };
}

/** `count` answers of a detector over its life. */
export function drawAnswers(name: SyntheticDetectorName, count: number, random: Random): SyntheticAnswer[] {
  const draw = syntheticDetector(name);
  return Array.from({ length: count }, (_, place) => draw(random, place / count));
}

/** What a threshold does to answers of which all is known. */
export interface TrueOutcome {
  readonly threshold: number;
  /** Share of the answers at or above it that agree; 1 without any. */
  readonly agreement: number;
  /** Share of the answers below it. */
  readonly escalations: number;
}

/** An answer held out: `truth` is 1 or 0 where only the outcome is known. */
export type HeldOutAnswer = Pick<SyntheticAnswer, "confidence" | "truth">;

/** Answers that no calibration saw. Their agreement is the mean of their probabilities, which says more than drawn outcomes. */
export class HeldOut {
  readonly #confidences: Float64Array;
  /** Sum of probabilities from each place up. */
  readonly #agreeing: Float64Array;

  constructor(answers: readonly HeldOutAnswer[]) {
    const order = answers.toSorted((a, b) => a.confidence - b.confidence);
    this.#confidences = Float64Array.from(order, ({ confidence }) => confidence);
    this.#agreeing = new Float64Array(order.length + 1);
    for (let place = order.length - 1; place >= 0; place -= 1)
      this.#agreeing[place] = (this.#agreeing[place + 1] ?? 0) + (order[place]?.truth ?? 0);
  }

  /** What a threshold does to them. */
  outcomeOf(threshold: number): TrueOutcome {
    let low = 0;
    let high = this.#confidences.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#confidences[middle] ?? 0) < threshold) low = middle + 1;
      else high = middle;
    }
    return this.#outcomeFrom(low, threshold);
  }

  /** The fewest escalations with which these very answers reach an agreement. */
  best(wishedAgreement: number): TrueOutcome {
    for (let place = 0; place < this.#confidences.length; place += 1) {
      const threshold = this.#confidences[place] ?? 1;
      if (place > 0 && threshold === this.#confidences[place - 1]) continue;
      const outcome = this.#outcomeFrom(place, threshold);
      if (outcome.agreement >= wishedAgreement) return outcome;
    }
    return { threshold: Infinity, agreement: 1, escalations: 1 };
  }

  #outcomeFrom(place: number, threshold: number): TrueOutcome {
    const all = this.#confidences.length;
    const kept = all - place;
    return {
      threshold,
      agreement: kept === 0 ? 1 : (this.#agreeing[place] ?? 0) / kept,
      escalations: place / all,
    };
  }
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** A standard normal number (Box and Muller, 1958). */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
