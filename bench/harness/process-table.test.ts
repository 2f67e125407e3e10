import assert from "node:assert/strict";
import { test } from "node:test";
import { LatencyHistogram } from "../load/histogram.ts";
import type { LoadResult } from "../load/load-result.ts";
import type { MeasuredLoad } from "./measure.ts";
import { processLines, warnings } from "./process-table.ts";

const MEGABYTE = 1e6;
const still = { meanMs: 0, p50Ms: 0, p99Ms: 1, maxMs: 2 };
const empty = new LatencyHistogram().summary();

/** A thousand answers in a second, by a gateway of 100 ms CPU and workers of 100 ms, one of which has ended. */
function measured(changes: Partial<LoadResult> = {}): MeasuredLoad {
  const load: LoadResult = {
    requests: 1000,
    ok: 1000,
    errors: 0,
    statuses: { 200: 1000 },
    failures: {},
    windowMs: 1000,
    ratePerSecond: 1000,
    latency: empty,
    sendLag: empty,
    waitedForSlot: 0,
    generator: { cpuMs: 20, utilization: 0.02, loopDelay: still, connects: 1 },
    ...changes,
  };
  const memory = { firstBytes: MEGABYTE, lastBytes: MEGABYTE, maxBytes: 10 * MEGABYTE };
  const one = { server: "gateway", rss: memory, pss: memory, alive: true };
  return {
    load,
    processes: [
      { ...one, program: "node main.ts", pid: 1, cpuMs: 100 },
      { ...one, program: "node worker.ts", pid: 2, cpuMs: 50 },
      { ...one, program: "node worker.ts", pid: 3, cpuMs: 40, pss: null },
      { ...one, program: "node worker.ts", pid: 4, cpuMs: 10, alive: false },
    ],
    loopDelays: { gateway: still, silent: null },
  };
}

test("each program of each server has its CPU time, memory and loop delay, the generator too", () => {
  assert.deepEqual(processLines({ ours: [measured(), measured()] }), [
    "ours, gateway (node main.ts): CPU 100 µs a request, memory 10 MB",
    "ours, gateway (node worker.ts): CPU 100 µs a request, memory 20 MB",
    "ours, gateway: loop delay p99 1 ms, worst 2 ms",
    "ours, generator: CPU 20 µs a request, loop delay p99 1 ms, worst 2 ms",
  ]);
});

test("a generator at its limit, a late one and failed requests are said", () => {
  assert.deepEqual(warnings([measured()]), []);
  const busy = { cpuMs: 950, utilization: 0.95, loopDelay: still, connects: 1 };
  const late = { ...empty, p99Ms: 5 };
  const texts = warnings([measured(), measured({ generator: busy, sendLag: late, errors: 3 })]);
  assert.equal(texts.length, 3);
  assert.match(texts.join("\n"), /95 % of a core[^]*5 ms late[^]*3 requests failed/);
});
