/** Promises in milliseconds, kept on a busy machine. */
import assert from "node:assert/strict";
import { startStarvationMeter } from "./starvation.ts";
import { until } from "./until.ts";

/**
 * Fails unless `what` happens within `limitMs` of the call of `act`; `happenedAt` gives when it did, on
 * `performance.now()`, or undefined while it has not. The time in which this process wanted to run and was given no
 * processor is not counted: nothing in it could have been quicker.
 */
export async function inTime(
  what: string,
  limitMs: number,
  act: () => void,
  happenedAt: () => number | undefined,
): Promise<void> {
  const meter = startStarvationMeter();
  const start = performance.now();
  act();
  const end = await until(what, happenedAt);
  const lostMs = meter.lostMs();
  meter.stop();
  const tookMs = end - start;
  assert.ok(tookMs - lostMs < limitMs, `${what}: after ${tookMs} ms, of which ${lostMs} without a processor`);
}
