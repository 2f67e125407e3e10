/** Long calculations in short steps, so that the event loop is never held up. */
import type { Clock } from "../../core/clock.ts";

/** A calculation that stops between steps of well under a millisecond. */
export type Steps<Result> = Generator<undefined, Result, undefined>;

/** Does all steps at once. */
export function finish<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Does steps for at most `sliceMs` at a time and awaits `pause` in between. */
export async function inSlices<Result>(
  steps: Steps<Result>,
  clock: Pick<Clock, "now">,
  pause: () => Promise<void>,
  sliceMs = 1,
): Promise<Result> {
  let began = clock.now();
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (clock.now() - began < sliceMs) continue;
    await pause();
    began = clock.now();
  }
}
