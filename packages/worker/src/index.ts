/** Spillway's model worker: how to start one, and what it is told. */
export { workerEntry } from "./worker-entry.ts";
export { formatWorkerSpec, workerSpecVariable } from "./worker-spec.ts";
export type { WorkerModelSpec, WorkerSpec } from "./worker-spec.ts";
