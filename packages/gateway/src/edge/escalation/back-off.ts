/** Pauses after failures. */
import type { Random } from "../../core/random.ts";

const steps = [1_000, 5_000, 10_000, 30_000];

/** Share by which a pause is longer or shorter, so that what failed together does not come back together. */
const jitter = 0.2;

/** Milliseconds after so many failures before this one: 1, 5, 10, 30 s, then 30 s, each up to 20 % more or less. */
export function backOffMs(failures: number, random: Random): number {
  const step = steps[Math.min(failures, steps.length - 1)] ?? 0;
  return step * (1 - jitter + 2 * jitter * random.unit());
}
