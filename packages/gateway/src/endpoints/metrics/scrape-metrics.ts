/** Series about how servers' metrics are read. */
import type { MetricDefinition, Metrics } from "../../contracts/telemetry.ts";
import type { ServerSignals } from "../../core/server-signals.ts";
import type { ScrapeProblem } from "./endpoint-scraper.ts";

/** The families of this module, for the reference page. */
export const scrapeMetrics = {
  scrapes: {
    name: "spillway_endpoint_scrapes_total",
    help: "Pages of metrics asked of the server, by what became of them: ok, untold (nothing on it that was looked for), connect, closed, malformed, timeout, refused (another status than 200), too-large, encoded.",
    labels: ["pool", "endpoint", "result"],
  },
  stale: {
    name: "spillway_pool_stale_endpoints",
    help: "Servers of the pool whose metrics are older than the pool allows.",
    labels: ["pool"],
  },
  age: {
    name: "spillway_endpoint_metrics_age_seconds",
    help: "How long ago the last page of metrics arrived from the server. Absent before the first.",
    labels: ["pool", "endpoint"],
  },
  waiting: {
    name: "spillway_endpoint_server_waiting_requests",
    help: "Requests that wait in the server, as it tells itself.",
    labels: ["pool", "endpoint"],
  },
  running: {
    name: "spillway_endpoint_server_running_requests",
    help: "Requests that the server computes, as it tells itself.",
    labels: ["pool", "endpoint"],
  },
  kvUsage: {
    name: "spillway_endpoint_kv_cache_usage_ratio",
    help: "Share of the server's KV cache in use, as it tells itself, 0 to 1.",
    labels: ["pool", "endpoint"],
  },
  pollErrors: {
    name: "llm_d_epp_datalayer_poll_errors_total",
    help: "Pages of metrics that did not come, as the endpoint picker of the inference extension counts them.",
    labels: ["source_type"],
  },
  extractErrors: {
    name: "llm_d_epp_datalayer_extract_errors_total",
    help: "Pages of metrics without anything that was looked for, or on which a plugin failed, as the endpoint picker of the inference extension counts them.",
    labels: ["source_type", "extractor_type"],
  },
} as const satisfies Record<string, MetricDefinition>;

/** A server as far as these series name it. */
interface Counted {
  readonly pool: string;
  readonly address: string;
  readonly signals: ServerSignals;
}

/** Counts what scrapes come to. */
export interface ScrapeCounts {
  added(server: Counted, staleAfterMs: number): void;
  removed(server: Counted): void;
  arrived(server: Counted, told: boolean): void;
  failed(server: Counted, kind: ScrapeProblem): void;
  /** A plugin that reads pages has thrown. */
  extractorFailed(type: string): void;
}

const results = [
  "ok",
  "untold",
  "connect",
  "closed",
  "malformed",
  "timeout",
  "refused",
  "too-large",
  "encoded",
] as const;
const pollLabels = ["metrics-data-source"] as const;
const extractLabels = ["metrics-data-source", "core-metrics-extractor"] as const;
const gauges = ["age", "waiting", "running", "kvUsage"] as const;

/** Makes the counters. `now` is the clock's. */
export function createScrapeCounts(metrics: Metrics, now: () => number): ScrapeCounts {
  const scrapes = metrics.counter(scrapeMetrics.scrapes);
  const pollErrors = metrics.counter(scrapeMetrics.pollErrors);
  const extractErrors = metrics.counter(scrapeMetrics.extractErrors);
  const servers = new Map<Counted, { readonly staleAfterMs: number; readonly ok: { value: number } }>();
  const gaugesOf = createGauges(metrics);
  metrics.onCollect(() => {
    gaugesOf.begin();
    for (const [server, { staleAfterMs }] of servers) gaugesOf.read(server, now(), staleAfterMs);
  });
  return {
    added(server, staleAfterMs) {
      // They are there from the first server on, so that an alert on them sees a beginning.
      pollErrors.with(...pollLabels);
      extractErrors.with(...extractLabels);
      servers.set(server, { staleAfterMs, ok: scrapes.with(server.pool, server.address, "ok") });
    },
    removed(server) {
      servers.delete(server);
      const { pool, address } = server;
      if (![...servers.keys()].some((each) => each.pool === pool)) gaugesOf.closed(pool);
      if ([...servers.keys()].some((each) => each.pool === pool && each.address === address)) return;
      for (const result of results) scrapes.remove(pool, address, result);
      gaugesOf.removed(server);
    },
    arrived(server, told) {
      if (told) {
        const counted = servers.get(server);
        if (counted !== undefined) counted.ok.value++;
        return;
      }
      extractErrors.with(...extractLabels).value++;
      scrapes.with(server.pool, server.address, "untold").value++;
    },
    failed({ pool, address }, kind) {
      pollErrors.with(...pollLabels).value++;
      scrapes.with(pool, address, kind).value++;
    },
    extractorFailed: (type) => void extractErrors.with("metrics-data-source", type).value++,
  };
}

/** What is read of the servers when somebody scrapes the gateway. */
function createGauges(metrics: Metrics) {
  const stale = metrics.gauge(scrapeMetrics.stale);
  const families = {
    age: metrics.gauge(scrapeMetrics.age),
    waiting: metrics.gauge(scrapeMetrics.waiting),
    running: metrics.gauge(scrapeMetrics.running),
    kvUsage: metrics.gauge(scrapeMetrics.kvUsage),
  };
  const begun = new Set<string>();
  return {
    begin: () => begun.clear(),
    read({ pool, address, signals }: Counted, now: number, staleAfterMs: number): void {
      const { updatedAt } = signals;
      const inPool = stale.with(pool);
      if (!begun.has(pool)) inPool.value = 0;
      begun.add(pool);
      if (now - updatedAt > staleAfterMs) inPool.value++;
      const values = { ...signals, age: (now - updatedAt) / 1_000 };
      for (const name of gauges) {
        if (Number.isFinite(values[name])) families[name].with(pool, address).value = values[name];
        else families[name].remove(pool, address);
      }
    },
    removed({ pool, address }: Counted): void {
      for (const name of gauges) families[name].remove(pool, address);
    },
    closed: (pool: string) => stale.remove(pool),
  };
}
