/** Starts model worker processes. Child processes now; anything that can start one elsewhere later. */

/** A model that a worker is to load. */
export interface WorkerModel {
  readonly name: string;
  readonly version: string;
  /** Folder of this version. */
  readonly directory: string;
  /** Known from an earlier start: calibration is left out. */
  readonly maxBatch?: number;
  /** The model's configuration and engine as they were read, in the worker's own terms; without them the worker reads them again. */
  readonly settings?: { readonly config: unknown; readonly engine: unknown };
}

/** What to start. */
export interface WorkerSpec {
  /** Unique among running workers; used in logs and metrics. */
  readonly id: string;
  readonly models: readonly WorkerModel[];
}

/** How a worker ended. */
export interface WorkerExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** What it said last of its own accord: an error, in one line. */
  readonly said: string | undefined;
}

/** A started worker. It ends by itself when the gateway dies. */
export interface LaunchedWorker {
  readonly pid: number;
  /** Address for a gRPC channel. */
  readonly address: string;
  /** Called once. A listener set after the end is called at once. */
  onExit(listener: (exit: WorkerExit) => void): void;
  /** Resident memory in bytes; undefined where it cannot be told. */
  memoryBytes(): number | undefined;
  /** Ends the worker at once. */
  kill(): void;
}

/** Starts workers. Throws a `GatewayError` when the system refuses to start one. */
export interface Launcher {
  launch(spec: WorkerSpec): LaunchedWorker;
  /** Kills what still runs and removes the sockets' folder. Idempotent. */
  close(): void;
}
