/** What a supervised worker is told by its parent, in the environment variable `SPILLWAY_WORKER_SPEC`. */
import type { LogLevel } from "./log.ts";
import { logLevels } from "./log.ts";
import type { EngineKind, ModelConfig } from "./repository/model-config.ts";

/** Name of the environment variable that carries the spec as JSON. */
export const workerSpecVariable = "SPILLWAY_WORKER_SPEC";

/** A version to load. */
export interface WorkerModelSpec {
  readonly name: string;
  readonly version: string;
  /** Absolute path of the version folder. */
  readonly directory: string;
  /** What an earlier process measured; nothing is measured then. */
  readonly maxBatch?: number;
  /** Configuration and engine as the parent read them; absent, the worker reads model.yaml itself. */
  readonly config?: ModelConfig | undefined;
  readonly engine?: EngineKind | undefined;
}

/** What a supervised worker does. */
export interface WorkerSpec {
  /** Path of the Unix socket to listen on; at most 107 bytes. */
  readonly socket: string;
  readonly models: readonly WorkerModelSpec[];
  /** Default `info`. */
  readonly logLevel?: LogLevel;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isModelSpec(value: unknown): value is WorkerModelSpec {
  if (!isRecord(value)) return false;
  const { name, version, directory, maxBatch } = value;
  const texts = [name, version, directory].every((text) => typeof text === "string" && text !== "");
  return texts && (maxBatch === undefined || (Number.isSafeInteger(maxBatch) && Number(maxBatch) >= 1));
}

/** Linux takes 128 KiB for one variable; beyond this the configurations are left out and read from disk. */
const maxSpecBytes = 100_000;

/** The variable's value. Passing `config` and `engine` spares a worker the YAML parser and the schema: 15 MB and 40 ms. */
export function formatWorkerSpec(spec: WorkerSpec): string {
  const whole = JSON.stringify(spec);
  if (Buffer.byteLength(whole) <= maxSpecBytes) return whole;
  const models = spec.models.map((model) => ({ ...model, config: undefined, engine: undefined }));
  return JSON.stringify({ ...spec, models });
}

/** Reads the spec. Throws an Error that says what was expected. */
export function parseWorkerSpec(text: string | undefined): WorkerSpec {
  if (text === undefined)
    throw new Error(`${workerSpecVariable} is not set: a supervised worker is started by a gateway`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${workerSpecVariable} is not valid JSON`, { cause: error });
  }
  if (!isRecord(value)) throw new Error(`${workerSpecVariable}: expected an object`);
  const { socket, models, logLevel } = value;
  if (typeof socket !== "string" || socket === "")
    throw new Error(`${workerSpecVariable}: socket: expected a path`);
  if (!Array.isArray(models) || !models.every(isModelSpec))
    throw new Error(
      `${workerSpecVariable}: models: expected a list of { name, version, directory, maxBatch? }`,
    );
  const level = logLevels.find((known) => known === logLevel);
  return level === undefined ? { socket, models } : { socket, models, logLevel: level };
}
