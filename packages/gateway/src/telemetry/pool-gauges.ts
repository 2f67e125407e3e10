/** What the servers of pools tell of themselves, as gauges of the Endpoint Picker's names: read when somebody scrapes. */
import type { HttpEndpoint, HttpPool } from "../contracts/http-endpoint.ts";
import type { Metrics, MetricFamily, MetricValue } from "../contracts/telemetry.ts";
import { pickerMetrics } from "./picker-metrics.ts";

/** A pool as far as its gauges are concerned. */
export type GaugedPool = Pick<HttpPool, "name"> & {
  readonly endpoints: readonly Pick<HttpEndpoint, "address" | "signals" | "state">[];
};

type Quantity = "kvUsage" | "waiting" | "running";

/** Shows the pools that `pools` gives at each scrape, and forgets those that it gives no more. */
export function exposePools(metrics: Metrics, pools: () => readonly GaugedPool[]): void {
  const pairs = {
    kvUsage: [metrics.gauge(pickerMetrics.kvUsage), metrics.gauge(pickerMetrics.kvUsageSpread)],
    waiting: [metrics.gauge(pickerMetrics.queueSize), metrics.gauge(pickerMetrics.queueSizeSpread)],
    running: [
      metrics.gauge(pickerMetrics.runningRequests),
      metrics.gauge(pickerMetrics.runningRequestsSpread),
    ],
  } as const;
  const ready = new ShownGauge(metrics.gauge(pickerMetrics.ready));
  const queues = new ShownGauge(metrics.gauge(pickerMetrics.endpointQueue));
  const spreads = Object.entries(pairs).map(([quantity, [mean, spread]]) => ({
    quantity: quantity as Quantity,
    mean: new ShownGauge(mean),
    spread: new ShownGauge(spread),
  }));
  metrics.onCollect(() => {
    for (const { name, endpoints } of pools()) {
      ready.show(endpoints.filter(({ state }) => state === "ready").length, name);
      for (const { quantity, mean, spread } of spreads) {
        const values = endpoints.map(({ signals }) => signals[quantity]).filter((value) => value >= 0);
        if (values.length === 0) continue;
        const average = values.reduce((sum, value) => sum + value, 0) / values.length;
        const squares = values.reduce((sum, value) => sum + (value - average) ** 2, 0);
        mean.show(average, name);
        spread.show(Math.sqrt(squares / values.length), name);
      }
      for (const { address, signals } of endpoints)
        if (signals.waiting >= 0) queues.show(signals.waiting, name, address);
    }
    for (const gauge of [ready, queues, ...spreads.flatMap(({ mean, spread }) => [mean, spread])])
      gauge.shown();
  });
}

/** A gauge whose label sets are those of the last look. */
class ShownGauge {
  readonly #family: MetricFamily<MetricValue>;
  #before = new Map<string, readonly string[]>();
  #now = new Map<string, readonly string[]>();

  constructor(family: MetricFamily<MetricValue>) {
    this.#family = family;
  }

  show(value: number, ...labels: readonly string[]): void {
    this.#family.with(...labels).value = value;
    this.#now.set(labels.join("\n"), labels);
  }

  /** Forgets what was not shown since the last call. */
  shown(): void {
    for (const [key, labels] of this.#before) if (!this.#now.has(key)) this.#family.remove(...labels);
    [this.#before, this.#now] = [this.#now, this.#before];
    this.#now.clear();
  }
}
