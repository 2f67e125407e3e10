/** Parts that pickers share. */
import { z } from "zod";
import type { Random } from "../../core/random.ts";

/** Parameters of every picker. */
export const pickerParameters = z.strictObject({
  maxNumOfEndpoints: z
    .int()
    .min(1)
    .default(1)
    .describe("Endpoints that are chosen: the first takes the request, the others are where a retry goes"),
});

/** Swaps a random one of the entries from `at` to `end` to `at`. */
export function drawTo(values: Int32Array, at: number, end: number, random: Random): void {
  const other = at + Math.floor(random.unit() * (end - at));
  const value = values[at] ?? 0;
  values[at] = values[other] ?? 0;
  values[other] = value;
}

/** A scratch array of at least this length: a larger one is made where the old is too short. */
export function atLeast(array: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  return array.length >= length ? array : new Int32Array(Math.max(16, 2 * length));
}
