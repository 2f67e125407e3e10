/** The process a gateway starts for its models: loads, listens on a Unix socket, ends with its parent. */
import { rmSync, rmdirSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { dirname } from "node:path";
import type { GrpcServer } from "@spillway/grpc";
import { createGrpcServer } from "@spillway/grpc";
import type { WorkerLog } from "./log.ts";
import { createJsonLog } from "./log.ts";
import { loadModel } from "./model/load-model.ts";
import type { RegistryEntry } from "./model/model-registry.ts";
import { ModelRegistry } from "./model/model-registry.ts";
import { loadSharp } from "./preprocess/image.ts";
import { errorText } from "./refusal.ts";
import type { EngineKind, ModelConfig } from "./repository/model-config.ts";
import { workerMethods } from "./service/methods.ts";
import { packageVersion } from "./package-version.ts";
import type { WorkerModelSpec, WorkerSpec } from "./worker-spec.ts";
import { parseWorkerSpec, workerSpecVariable } from "./worker-spec.ts";

/** A tensor of a batch may be large; the gateway has its own, lower bounds for callers. */
const maxMessageBytes = 1024 * 1024 * 1024;

/**
 * Runs until the parent is gone. Signals of the terminal are left to the parent, so that a drain is
 * never cut short; standard input is a pipe that the parent holds open and the system closes when it dies.
 */
export async function runSupervisedWorker(): Promise<void> {
  let spec: WorkerSpec;
  try {
    spec = parseWorkerSpec(process.env[workerSpecVariable]);
  } catch (error) {
    createJsonLog("error")("error", "bad_spec", { reason: errorText(error) });
    process.exitCode = 2;
    return;
  }
  const log = createJsonLog(spec.logLevel ?? "info");
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => {});
  process.on("uncaughtException", (error) => die(log, "crashed", error));
  endWithParent(spec.socket);
  const registry = new ModelRegistry();
  for (const model of spec.models) await loadInto(registry, model, log);
  try {
    await listen(registry, spec, log);
  } catch (error) {
    return die(log, "cannot_listen", error);
  }
  setTimeout(() => void prepareForLater(registry), prepareDelayMs).unref();
}

/** What nobody waits for is done this long after listening. */
const prepareDelayMs = 100;

function takesPictures({ state }: RegistryEntry): boolean {
  return state.state === "ready" && state.model.task.input.image !== undefined;
}

/**
 * Loads the native decoder of pictures, and writes Node's compile cache, which halves the time and the memory of the
 * next start: Node itself writes it at a regular exit only, and a gateway ends its workers without notice.
 */
async function prepareForLater(registry: ModelRegistry): Promise<void> {
  // A failure is told to the first request with a picture, which tries again.
  if (registry.entries().some(takesPictures)) await loadSharp().catch(() => {});
  flushCompileCache();
}

/** Says why and ends the process: what is half broken is replaced, not kept. */
function die(log: WorkerLog, event: string, error: unknown): never {
  log("error", event, { reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  process.exit(1);
}

/** A model that cannot be loaded is listed with its reason; the others serve. */
async function loadInto(registry: ModelRegistry, wanted: WorkerModelSpec, log: WorkerLog): Promise<void> {
  const { name, version, directory, maxBatch } = wanted;
  const start = performance.now();
  try {
    const { config, engine } = await configOf(wanted);
    const model = await loadModel({ name, version, directory, config, engine, maxBatch }, { log });
    registry.set(name, version, { state: "ready", model });
    const tookMs = Math.round(performance.now() - start);
    log("info", "model_ready", { model: name, version, maxBatch: model.maxBatch, tookMs });
  } catch (error) {
    const reason = errorText(error);
    registry.set(name, version, { state: "unavailable", reason });
    log("error", "model_unavailable", { model: name, version, reason });
  }
}

/** As told, or read from disk; the parser and the schema are loaded only then. */
async function configOf({
  directory,
  config,
  engine,
}: WorkerModelSpec): Promise<{ config: ModelConfig; engine: EngineKind }> {
  if (config !== undefined && engine !== undefined) return { config, engine };
  const { loadVersionConfig } = await import("./repository/version-config.ts");
  const read = await loadVersionConfig(directory);
  if (read.error !== undefined) throw new Error(read.error);
  return read;
}

async function listen(registry: ModelRegistry, spec: WorkerSpec, log: WorkerLog): Promise<GrpcServer> {
  const identity = { name: "spillway-worker", version: packageVersion };
  const methods = workerMethods({ registry, identity, isServing: () => true });
  const server = createGrpcServer({ methods, maxMessageBytes, maxTotalBytes: 2 * maxMessageBytes });
  await server.listen({ path: spec.socket });
  log("info", "listening", {
    socket: spec.socket,
    pid: process.pid,
    sinceStartMs: Math.round(performance.now()),
  });
  return server;
}

/** Ends the process at once when standard input closes, and takes the socket with it. */
function endWithParent(socket: string): void {
  const end = () => {
    rmSync(socket, { force: true });
    try {
      // Only an empty folder goes: another worker's socket may lie in it.
      rmdirSync(dirname(socket));
    } catch {
      // Not empty, or not ours.
    }
    process.exit(0);
  };
  process.stdin.once("end", end).once("close", end).once("error", end).resume();
}
