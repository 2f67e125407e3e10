/** Chooses by chance alone. */
import type { Picker } from "../../contracts/plugins/scheduling.ts";
import { definePlugin } from "../define-plugin.ts";
import { atLeast, drawTo, pickerParameters } from "./random-order.ts";

/** `random-picker`. */
export const randomPicker = definePlugin({
  type: "random-picker",
  kinds: ["picker"],
  summary: "Chooses endpoints by chance, whatever their scores",
  parameters: pickerParameters,
  create({ maxNumOfEndpoints }, { random }): Picker {
    let order = new Int32Array(16);
    return {
      pick({ positions, count }, _totals, picked) {
        const wanted = Math.min(maxNumOfEndpoints, count);
        order = atLeast(order, count);
        for (let i = 0; i < count; i++) order[i] = positions[i] ?? 0;
        for (let n = 0; n < wanted; n++) {
          drawTo(order, n, count, random);
          picked[n] = order[n] ?? 0;
        }
        return wanted;
      },
    };
  },
});
