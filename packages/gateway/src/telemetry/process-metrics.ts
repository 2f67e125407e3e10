/**
 * Metrics of the gateway's own process, under the names Prometheus clients share
 * (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics), and Node's.
 */
import { readdirSync, readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { MetricDefinition } from "../contracts/telemetry.ts";
import type { Clock } from "../core/clock.ts";
import type { MetricRegistry } from "./metrics.ts";

/** How often the loop is looked at; a delay shorter than this is mostly unseen. */
const loopResolutionMs = 20;
/** Quantiles cover at least this long, whoever scrapes in between. */
const loopWindowMs = 10_000;

/** The families of this module. */
export const processMetrics = {
  residentMemory: {
    name: "process_resident_memory_bytes",
    help: "Resident memory of the gateway's process, without its workers.",
    labels: [],
  },
  cpu: {
    name: "process_cpu_seconds_total",
    help: "Processor time of the gateway's process, user and system.",
    labels: [],
  },
  openFds: { name: "process_open_fds", help: "Open file descriptors; Linux only.", labels: [] },
  maxFds: {
    name: "process_max_fds",
    help: "File descriptors that may be open at once; Linux only.",
    labels: [],
  },
  startTime: {
    name: "process_start_time_seconds",
    help: "When the process started, in seconds since the Unix epoch.",
    labels: [],
  },
  heapUsed: { name: "nodejs_heap_size_used_bytes", help: "Heap of JavaScript in use.", labels: [] },
  heapTotal: { name: "nodejs_heap_size_total_bytes", help: "Heap of JavaScript held.", labels: [] },
  external: {
    name: "nodejs_external_memory_bytes",
    help: "Memory outside the heap that JavaScript objects hold, buffers included.",
    labels: [],
  },
  loopDelay: {
    name: "nodejs_eventloop_delay_seconds",
    help: "How late the event loop ran timers, over at least the last 10 s; sum and count since the start.",
    labels: [],
    quantiles: [0.5, 0.9, 0.99, 1],
  },
  build: {
    name: "spillway_build_info",
    help: "Always 1; says which version runs, on which Node.",
    labels: ["version", "node"],
  },
} as const satisfies Record<string, MetricDefinition & { readonly quantiles?: readonly number[] }>;

/** What is needed to describe the process. */
export interface ProcessMetricsOptions {
  readonly clock: Clock;
  /** Version of Spillway. */
  readonly version: string;
}

/** Reads the process at each exposition. `close` stops looking at the event loop; idempotent. */
export function exposeProcess(metrics: MetricRegistry, options: ProcessMetricsOptions): { close(): void } {
  const { clock, version } = options;
  const startedSeconds = (clock.wallNow() - process.uptime() * 1e3) / 1e3;
  const startTime = metrics.gauge(processMetrics.startTime).with();
  startTime.value = Number(startedSeconds.toFixed(3));
  metrics.gauge(processMetrics.build).with(version, process.versions.node).value = 1;
  exposeMemory(metrics);
  exposeFileDescriptors(metrics);
  const cpu = metrics.counter(processMetrics.cpu).with();
  metrics.onCollect(() => {
    const { user, system } = process.cpuUsage();
    cpu.value = (user + system) / 1e6;
  });
  return exposeLoopDelay(metrics, clock);
}

function exposeMemory(metrics: MetricRegistry): void {
  const resident = metrics.gauge(processMetrics.residentMemory).with();
  const heapUsed = metrics.gauge(processMetrics.heapUsed).with();
  const heapTotal = metrics.gauge(processMetrics.heapTotal).with();
  const external = metrics.gauge(processMetrics.external).with();
  metrics.onCollect(() => {
    const memory = ifReadable(() => process.memoryUsage());
    if (memory === undefined) return;
    resident.value = memory.rss;
    heapUsed.value = memory.heapUsed;
    heapTotal.value = memory.heapTotal;
    external.value = memory.external;
  });
}

function exposeFileDescriptors(metrics: MetricRegistry): void {
  if (process.platform !== "linux") return;
  const open = metrics.gauge(processMetrics.openFds).with();
  const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  if (soft !== undefined) metrics.gauge(processMetrics.maxFds).with().value = Number(soft);
  metrics.onCollect(() => {
    // Listing the folder opens it. Where that cannot be done, all there may be are open.
    open.value = ifReadable(() => readdirSync("/proc/self/fd").length - 1) ?? Number(soft ?? open.value);
  });
}

/** What the system tells of the process; undefined where no descriptor is left to read it with: the page is wanted most then. */
function ifReadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function exposeLoopDelay(metrics: MetricRegistry, clock: Clock): { close(): void } {
  const { quantiles } = processMetrics.loopDelay;
  const summary = metrics.summary(processMetrics.loopDelay).with();
  const monitor = monitorEventLoopDelay({ resolution: loopResolutionMs });
  monitor.enable();
  let windowStart = clock.now();
  let before = { sum: 0, count: 0 };
  // What is recorded is the time between two looks: the interval itself and the delay.
  const delaySeconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - loopResolutionMs / 1e3);
  metrics.onCollect(() => {
    if (monitor.count === 0) return;
    quantiles.forEach((quantile, index) => {
      summary.values[index] = delaySeconds(monitor.percentile(quantile * 100));
    });
    summary.count = before.count + monitor.count;
    summary.sum = before.sum + delaySeconds(monitor.mean) * monitor.count;
    if (clock.now() - windowStart < loopWindowMs) return;
    before = { sum: summary.sum, count: summary.count };
    windowStart = clock.now();
    monitor.reset();
  });
  return { close: () => void monitor.disable() };
}
