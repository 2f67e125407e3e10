/** Chooses the endpoints with the highest scores; chance among equals. */
import type { Candidates, Picker } from "../../contracts/plugins/scheduling.ts";
import type { Random } from "../../core/random.ts";
import { definePlugin } from "../define-plugin.ts";
import { pickerParameters } from "./random-order.ts";

class MaxScorePicker implements Picker {
  readonly #random: Random;
  readonly #max: number;
  #taken = new Uint8Array(16);

  constructor(random: Random, max: number) {
    this.#random = random;
    this.#max = max;
  }

  pick({ positions, count }: Candidates, totals: Float64Array, picked: Int32Array): number {
    const wanted = Math.min(this.#max, count);
    if (wanted === 1) {
      picked[0] = positions[this.#best(totals, count)] ?? 0;
      return 1;
    }
    if (this.#taken.length < count) this.#taken = new Uint8Array(2 * count);
    this.#taken.fill(0, 0, count);
    for (let n = 0; n < wanted; n++) {
      const best = this.#bestLeft(totals, count);
      this.#taken[best] = 1;
      picked[n] = positions[best] ?? 0;
    }
    return wanted;
  }

  /** Each of several equals with the same chance, in one pass. */
  #best(totals: Float64Array, count: number): number {
    let best = 0;
    let bestTotal = totals[0] ?? 0;
    let ties = 1;
    for (let i = 1; i < count; i++) {
      const total = totals[i] ?? 0;
      if (total < bestTotal) continue;
      if (total > bestTotal) {
        bestTotal = total;
        best = i;
        ties = 1;
      } else if (this.#random.unit() * ++ties < 1) best = i;
    }
    return best;
  }

  #bestLeft(totals: Float64Array, count: number): number {
    let best = -1;
    let bestTotal = 0;
    let ties = 1;
    for (let i = 0; i < count; i++) {
      if (this.#taken[i] === 1) continue;
      const total = totals[i] ?? 0;
      if (best >= 0 && total < bestTotal) continue;
      if (best < 0 || total > bestTotal) {
        bestTotal = total;
        best = i;
        ties = 1;
      } else if (this.#random.unit() * ++ties < 1) best = i;
    }
    return best;
  }
}

/** `max-score-picker`. */
export const maxScorePicker = definePlugin({
  type: "max-score-picker",
  kinds: ["picker"],
  summary: "Chooses the endpoints with the highest sums of weighted scores; chance decides among equals",
  parameters: pickerParameters,
  create: ({ maxNumOfEndpoints }, { random }): Picker => new MaxScorePicker(random, maxNumOfEndpoints),
});
