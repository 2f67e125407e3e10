/** How well probabilities fit what happened. */
import type { Bins } from "./bins.ts";
import { total } from "./bins.ts";

/** Lower is better in all. */
export interface CalibrationScores {
  /** Mean of −ln(probability given to what happened), in nats. */
  readonly logLoss: number;
  /** Mean squared difference to what happened (Brier, "Verification of Forecasts Expressed in Terms of Probability", 1950). */
  readonly brier: number;
  /**
   * Expected calibration error: the mean distance between probability and agreement over 15 equal ranges of probability (Naeini,
   * Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015).
   */
  readonly ece: number;
}

const RANGES = 15;
const NEAREST = 1e-12;

/** Adds up what bins say about probabilities, over several folds. */
export class ScoreSum {
  #weight = 0;
  #logLoss = 0;
  #brier = 0;
  readonly #surplus = new Float64Array(RANGES);

  /** Takes the bins of a fold with the probability given to each. */
  add({ confidence, weight, agreed }: Bins, probabilityOf: (confidence: number) => number): void {
    this.#weight += total(weight);
    weight.forEach((sum, bin) => {
      if (sum <= 0) return;
      const yes = agreed[bin] ?? 0;
      const no = sum - yes;
      const probability = probabilityOf(confidence[bin] ?? 0);
      const inside = Math.min(Math.max(probability, NEAREST), 1 - NEAREST);
      this.#logLoss -= yes * Math.log(inside) + no * Math.log1p(-inside);
      this.#brier += yes * (1 - probability) ** 2 + no * probability ** 2;
      const range = Math.min(Math.floor(probability * RANGES), RANGES - 1);
      this.#surplus[range] = (this.#surplus[range] ?? 0) + sum * probability - yes;
    });
  }

  /** The means; zeros before anything was added. */
  scores(): CalibrationScores {
    const weight = Math.max(this.#weight, Number.MIN_VALUE);
    return {
      logLoss: this.#logLoss / weight,
      brier: this.#brier / weight,
      ece: this.#surplus.reduce((sum, value) => sum + Math.abs(value), 0) / weight,
    };
  }
}
