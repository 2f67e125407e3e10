/** Spillway's model worker: how to start one, and what it is told. */
import type { RunStandaloneWorkerOptions } from "./standalone/run-standalone-worker.ts";

export { workerEntry } from "./worker-entry.ts";
export { formatWorkerSpec, workerSpecVariable } from "./worker-spec.ts";
export type { LogFields, LogLevel, WorkerLog } from "./log.ts";
export type { WorkerModelSpec, WorkerSpec } from "./worker-spec.ts";
export type { RunStandaloneWorkerOptions } from "./standalone/run-standalone-worker.ts";
export type { StandaloneWorkerOptions } from "./standalone/standalone-worker.ts";

/**
 * Serves a model repository over gRPC on a port until SIGTERM, SIGINT or `options.signal`, then drains.
 * Rejects when the address is taken or the repository cannot be read. The server is imported only now,
 * so that whoever starts worker processes does not carry it.
 */
export async function runStandaloneWorker(options: RunStandaloneWorkerOptions): Promise<void> {
  const { runStandaloneWorker: run } = await import("./standalone/run-standalone-worker.ts");
  return run(options);
}
