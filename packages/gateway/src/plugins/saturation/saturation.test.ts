import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { flowSpec, wireFlow } from "../../../test/support/flow-fixture.ts";
import { plainServer, type EndpointSetup } from "../../../test/support/scheduling-fixture.ts";
import type { SaturationSignal } from "../../contracts/plugins/flow.ts";
import type { Candidates, Filter, SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import { createSignals } from "../../core/server-signals.ts";
import { createManualClock } from "../../testing.ts";

function make(type: string, parameters: Record<string, unknown> = {}): SaturationSignal & Filter {
  const plugins = [{ name: type, type, parameters }];
  const clock = createManualClock();
  return wireFlow(flowSpec({ plugins, saturation: type }), clock).saturation.plugin as SaturationSignal &
    Filter;
}

/** A server that told at 0 how it is. */
function telling(
  slot: number,
  told: { waiting?: number; running?: number; kvUsage?: number; blocks?: number },
  setup: EndpointSetup = {},
): SchedulableEndpoint {
  const times = { waiting: 0, running: 0, kvUsage: 0, adapters: 0 };
  const signals = {
    ...createSignals(),
    updatedAt: 0,
    told: times,
    waiting: 0,
    running: 0,
    kvUsage: 0,
    ...told,
  };
  return plainServer(slot, { ...setup, signals: { ...signals, blockTokens: 16 } });
}

describe("utilization-detector", () => {
  it("is the larger of queue and cache, each by its threshold", () => {
    const signal = make("utilization-detector");
    assert.equal(signal.saturation([telling(0, { waiting: 2, kvUsage: 0.2 })], 0), 0.4);
    assert.equal(signal.saturation([telling(0, { waiting: 1, kvUsage: 0.6 })], 0), 0.6 / 0.8);
    assert.equal(signal.saturation([telling(0, { waiting: 10 })], 0), 2);
    assert.equal(signal.saturation([], 0), 1);
  });

  it("counts what was sent since the last page: a server that already has a line gets the whole of it", () => {
    const signal = make("utilization-detector");
    const sent = (sentSinceScrape: number) => ({ load: { requests: sentSinceScrape, sentSinceScrape } });
    assert.equal(signal.endpointSaturation(telling(0, { waiting: 1 }, sent(4)), 0), 1);
    assert.equal(
      signal.endpointSaturation(telling(0, {}, sent(5)), 0),
      0.05,
      "a server without a line starts some at once",
    );
    assert.equal(signal.endpointSaturation(telling(0, {}, sent(10)), 0), 1);
    assert.equal(signal.endpointSaturation(telling(0, { running: 40 }, sent(10)), 0), 0.1);
    const cache = signal.endpointSaturation(telling(0, { running: 10, kvUsage: 0.4 }, sent(5)), 0);
    assert.ok(Math.abs(cache - 0.6 / 0.8) < 1e-9, "each takes as much of the cache as those that run");
  });

  it("weighs servers by their caches, and has room as long as one has", () => {
    const signal = make("utilization-detector");
    const large = telling(0, { waiting: 0, kvUsage: 0.4, blocks: 3_000 });
    const small = telling(1, { waiting: 50, blocks: 1_000 });
    assert.equal(signal.saturation([large, small], 0), (0.5 * 3 + 1) / 4);
    const full = telling(0, { waiting: 10, blocks: 3_000 });
    assert.equal(signal.saturation([full, small], 0), (2 * 3 + 10) / 4);
  });

  it("holds a server whose metrics are stale where it was, so that work goes on and does not grow", () => {
    const signal = make("utilization-detector", { metricsStalenessThreshold: "100ms" });
    const load = { requests: 4 };
    const server = telling(3, { waiting: 0 }, { load });
    assert.ok(signal.endpointSaturation(server, 50) < 1);
    assert.equal(signal.changesAt?.([server], 50), 100);
    assert.equal(signal.stale?.([server], 50), 0);
    assert.equal(signal.endpointSaturation(server, 150), 1);
    assert.equal(signal.stale?.([server], 150), 1);
    assert.equal(signal.changesAt?.([server], 150), Infinity);
    Object.assign(server.load, { requests: 3 });
    assert.equal(signal.endpointSaturation(server, 151), 0.75, "one has ended, one may follow");
    Object.assign(server.load, { requests: 0 });
    assert.equal(signal.endpointSaturation(telling(9, { waiting: 99 }), 1_000), 0, "one may always go");
  });

  it("judges a server that never told anything by its capacity", () => {
    const signal = make("utilization-detector");
    assert.equal(signal.endpointSaturation(plainServer(0, { capacity: 8, load: { requests: 4 } }), 1), 0.5);
  });

  it("as a filter takes out those that are full, and none where all are", () => {
    const filter = make("utilization-detector", { headroom: 0.5 });
    const kept = (waiting: readonly number[]): number[] => {
      const endpoints = waiting.map((each, slot) => telling(slot, { waiting: each }));
      let count = endpoints.length;
      const positions = Int32Array.from(endpoints.keys());
      const candidates: Candidates = { endpoints, positions, count, keep: (left) => void (count = left) };
      filter.filter(candidates, undefined as never);
      return [...positions.subarray(0, count)];
    };
    assert.deepEqual(kept([0, 9, 6, 20]), [0, 2]);
    assert.deepEqual(kept([9, 20]), [0, 1]);
  });
});

describe("concurrency-detector", () => {
  const busy = (requests: number, tokens = 0, capacity = 1_000): SchedulableEndpoint =>
    plainServer(0, { capacity, load: { requests, promptTokens: tokens } });

  it("counts requests, tokens, or whichever is more, never beyond the server's own capacity", () => {
    assert.equal(make("concurrency-detector").saturation([busy(50)], 0), 0.5);
    assert.equal(make("concurrency-detector").saturation([busy(8, 0, 8)], 0), 1);
    const tokens = make("concurrency-detector", { concurrencyMode: "tokens", maxTokenConcurrency: 1_000 });
    assert.equal(tokens.saturation([busy(50, 700)], 0), 0.7);
    const hybrid = make("concurrency-detector", { concurrencyMode: "hybrid", maxTokenConcurrency: 1_000 });
    assert.equal(hybrid.saturation([busy(80, 700)], 0), 0.8);
    assert.equal(hybrid.saturation([busy(50, 700)], 0), 0.7);
  });

  it("weighs servers by what each may have", () => {
    const signal = make("concurrency-detector");
    assert.equal(signal.saturation([busy(0, 0, 10), busy(90, 0, 90)], 0), 0.9);
  });
});
