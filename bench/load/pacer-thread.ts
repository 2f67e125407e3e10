/**
 * Thread that sleeps until each intended send time and then wakes the generator. Node's timers step in whole
 * milliseconds; a thread blocked in Atomics.wait wakes within some tens of microseconds and costs nothing meanwhile.
 */
import { parentPort, workerData } from "node:worker_threads";
import { createArrivals } from "./arrivals.ts";
import { PENDING, RUN_STATE, RUNNING, STOPPED } from "./pacer.ts";
import type { PacerData } from "./pacer.ts";

const data = workerData as PacerData;
const control = new Int32Array(data.control);
const startNs = new BigInt64Array(data.startNs);

parentPort?.postMessage("ready");
Atomics.wait(control, RUN_STATE, 0);
if (Atomics.load(control, RUN_STATE) === RUNNING) wakeAtEach();

function wakeAtEach(): void {
  const zeroNs = Atomics.load(startNs, 0);
  const next = createArrivals(data.arrivals);
  let atMs = next();
  for (;;) {
    const waitMs = atMs - elapsedMs(zeroNs);
    if (waitMs > 0) Atomics.wait(control, RUN_STATE, RUNNING, waitMs);
    if (Atomics.load(control, RUN_STATE) === STOPPED) return;
    const nowMs = elapsedMs(zeroNs);
    if (nowMs < atMs) continue;
    if (Atomics.exchange(control, PENDING, 1) === 0) parentPort?.postMessage(0);
    while (atMs <= nowMs) atMs = next();
  }
}

/** hrtime is one clock for all threads; performance.now() counts from each thread's own start. */
function elapsedMs(zeroNs: bigint): number {
  return Number(process.hrtime.bigint() - zeroNs) / 1e6;
}
