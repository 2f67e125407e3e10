/** What is known of models, for the surfaces that list, describe, load and unload them. */
import type { Failure } from "../core/errors.ts";
import type { ServedModel } from "../core/model.ts";

/** State of one model version, in the words of Triton's repository extension. */
export interface ModelStatus {
  readonly pool: string;
  readonly name: string;
  readonly version: string;
  readonly state: "LOADING" | "READY" | "UNLOADING" | "UNAVAILABLE";
  /** Why it is not ready; empty when it is. */
  readonly reason: string;
  /** Its instances: how many should run and how many can take work now. */
  readonly instances: { readonly wanted: number; readonly ready: number };
}

/** Sums of one model version since it was loaded. Times in nanoseconds, as Triton's statistics extension has them. */
export interface ModelStatistics {
  readonly name: string;
  readonly version: string;
  /** Milliseconds since the epoch; 0 for never. */
  readonly lastInferenceMs: number;
  /** Rows answered. */
  readonly inferenceCount: number;
  /** Calls made to an engine; inferenceCount / executionCount is the mean batch. */
  readonly executionCount: number;
  readonly success: CountAndTime;
  readonly fail: CountAndTime;
  readonly queue: CountAndTime;
  readonly computeInput: CountAndTime;
  readonly computeInfer: CountAndTime;
  readonly computeOutput: CountAndTime;
  readonly batches: readonly { readonly size: number; readonly compute: CountAndTime }[];
}

/** How often, and how long in sum. */
export interface CountAndTime {
  readonly count: number;
  readonly ns: number;
}

/** The models behind the gateway. */
export interface ModelCatalog {
  /** The version that a request without one gets, or the named one; a failure that says what exists. */
  find(name: string, version: string | undefined): ServedModel | Failure;
  /** Versions of a model that can be asked for, oldest first. */
  versions(name: string): readonly string[];
  /** Whether the model (or the version) can take requests now. */
  isReady(name: string, version: string | undefined): boolean;
  list(): readonly ModelStatus[];
  statistics(name: string | undefined, version: string | undefined): readonly ModelStatistics[];
  /** True once every model that should run has been tried and at least the gateway can answer. */
  ready(): boolean;
  /** Loads or reloads from the repository; resolves when it serves or has failed. */
  load(name: string): Promise<Failure | undefined>;
  unload(name: string): Promise<Failure | undefined>;
}
