/** Series about instances and their processes. */
import type { ModelStatus } from "../contracts/models.ts";
import type { MetricDefinition, Metrics } from "../contracts/telemetry.ts";
import { isFailure } from "../core/errors.ts";
import type { ModelSource } from "./catalog.ts";
import type { ModelRepository } from "./model-repository.ts";
import type { RemotePool } from "./remote-pool.ts";

/** The families of this module, for the reference page. */
export const workerMetrics = {
  instances: {
    name: "spillway_model_instances",
    help: "Instances of a model version: wanted, and ready to take work.",
    labels: ["model", "version", "state"],
  },
  ready: {
    name: "spillway_model_ready",
    help: "1 when the model version can answer, else 0.",
    labels: ["model", "version"],
  },
  waiting: {
    name: "spillway_model_queue_requests",
    help: "Requests in line now, not yet sent to an instance.",
    labels: ["model", "version"],
  },
  poolServers: {
    name: "spillway_grpc_pool_servers",
    help: "Servers of a pool that is spoken to over gRPC, by state: connecting, ready, unready (lives, but is not to be called), waiting (cannot be reached).",
    labels: ["pool", "state"],
  },
  memory: {
    name: "spillway_worker_resident_memory_bytes",
    help: "Resident memory of a worker process.",
    labels: ["deployment", "pid"],
  },
  restarts: {
    name: "spillway_worker_restarts_total",
    help: "Worker processes that ended without being told to.",
    labels: ["deployment"],
  },
} as const satisfies Record<string, MetricDefinition>;

/** Counts a process that ended by itself. */
export function countRestart(metrics: Metrics, deployment: string): void {
  metrics.counter(workerMetrics.restarts).with(deployment).value++;
}

const serverStates = ["connecting", "ready", "unready", "waiting"] as const;

/** Counts the servers of pools at each scrape. */
export function exposePools(metrics: Metrics, pools: readonly RemotePool[]): void {
  const servers = metrics.gauge(workerMetrics.poolServers);
  metrics.onCollect(() => {
    for (const { name, states } of pools)
      for (const state of serverStates)
        servers.with(name, state).value = states.filter((each) => each === state).length;
  });
}

/** Length of the line where requests for the version are sent now; 0 where there is none. */
function waitingAt(sources: readonly ModelSource[], name: string, version: string): number {
  for (const source of sources) {
    const endpoint = source.endpointFor(name, version);
    if (endpoint !== undefined) return isFailure(endpoint) ? 0 : endpoint.line.length;
  }
  return 0;
}

/** Reads instances, readiness, lines and memory at each scrape; what is gone is no longer shown. */
export function exposeWorkers(
  metrics: Metrics,
  repositories: readonly ModelRepository[],
  sources: readonly ModelSource[],
): void {
  const instances = metrics.gauge(workerMetrics.instances);
  const ready = metrics.gauge(workerMetrics.ready);
  const waiting = metrics.gauge(workerMetrics.waiting);
  const memory = metrics.gauge(workerMetrics.memory);
  let shownModels: ModelStatus[] = [];
  let shownProcesses: { readonly deployment: string; readonly pid: number }[] = [];
  metrics.onCollect(() => {
    for (const { name, version } of shownModels) {
      ready.remove(name, version);
      waiting.remove(name, version);
      instances.remove(name, version, "wanted");
      instances.remove(name, version, "ready");
    }
    shownModels = sources.flatMap((source) => source.list());
    for (const { name, version, state, instances: count } of shownModels) {
      ready.with(name, version).value = state === "READY" ? 1 : 0;
      waiting.with(name, version).value = waitingAt(sources, name, version);
      instances.with(name, version, "wanted").value = count.wanted;
      instances.with(name, version, "ready").value = count.ready;
    }
    for (const { deployment, pid } of shownProcesses) memory.remove(deployment, String(pid));
    const processes = repositories.flatMap((repository) => repository.processes());
    shownProcesses = processes;
    for (const { deployment, pid, memoryBytes } of processes) {
      if (memoryBytes !== undefined) memory.with(deployment, String(pid)).value = memoryBytes;
    }
  });
}
