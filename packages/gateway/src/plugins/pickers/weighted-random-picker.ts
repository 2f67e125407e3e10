/** Chooses by chance in proportion to the scores: A-Res (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006). */
import type { Candidates, Picker } from "../../contracts/plugins/scheduling.ts";
import type { Random } from "../../core/random.ts";
import { definePlugin } from "../define-plugin.ts";
import { atLeast, drawTo, pickerParameters } from "./random-order.ts";

class WeightedRandomPicker implements Picker {
  readonly #random: Random;
  readonly #max: number;
  #keys = new Float64Array(16);
  #order = new Int32Array(16);

  constructor(random: Random, max: number) {
    this.#random = random;
    this.#max = max;
  }

  pick({ positions, count }: Candidates, totals: Float64Array, picked: Int32Array): number {
    const weighed = this.#draw(totals, count);
    if (weighed === 0) return this.#byChance(positions, count, picked);
    const wanted = Math.min(this.#max, weighed);
    for (let n = 0; n < wanted; n++) {
      let best = -1;
      for (let i = 0; i < count; i++) {
        const key = this.#keys[i] ?? Number.NaN;
        if (!Number.isNaN(key) && (best < 0 || key > (this.#keys[best] ?? 0))) best = i;
      }
      this.#keys[best] = Number.NaN;
      picked[n] = positions[best] ?? 0;
    }
    return wanted;
  }

  /** Keys `ln(U) / score`, which order as `U^(1/score)` does and do not run into 0. Gives how many have a score. */
  #draw(totals: Float64Array, count: number): number {
    if (this.#keys.length < count) this.#keys = new Float64Array(2 * count);
    let weighed = 0;
    for (let i = 0; i < count; i++) {
      const total = totals[i] ?? 0;
      if (total > 0) weighed++;
      this.#keys[i] = total > 0 ? Math.log(this.#random.unit()) / total : Number.NaN;
    }
    return weighed;
  }

  #byChance(positions: Int32Array, count: number, picked: Int32Array): number {
    const wanted = Math.min(this.#max, count);
    this.#order = atLeast(this.#order, count);
    for (let i = 0; i < count; i++) this.#order[i] = positions[i] ?? 0;
    for (let n = 0; n < wanted; n++) {
      drawTo(this.#order, n, count, this.#random);
      picked[n] = this.#order[n] ?? 0;
    }
    return wanted;
  }
}

/** `weighted-random-picker`. */
export const weightedRandomPicker = definePlugin({
  type: "weighted-random-picker",
  kinds: ["picker"],
  summary:
    "Chooses endpoints by chance in proportion to their scores; one with the score 0 only where all have it",
  parameters: pickerParameters,
  create: ({ maxNumOfEndpoints }, { random }): Picker => new WeightedRandomPicker(random, maxNumOfEndpoints),
});
