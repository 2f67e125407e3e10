/** A worker of its own: serves a model repository over gRPC on a port. */
import { setTimeout as delay } from "node:timers/promises";
import type { GrpcServer } from "@spillway/grpc";
import { createGrpcServer } from "@spillway/grpc";
import type { WorkerLog } from "../log.ts";
import { createJsonLog } from "../log.ts";
import { ModelRegistry } from "../model/model-registry.ts";
import { packageVersion } from "../package-version.ts";
import { errorText } from "../refusal.ts";
import { workerMethods } from "../service/methods.ts";
import { RepositorySync } from "./repository-sync.ts";

/** How to run a worker of its own. */
export interface StandaloneWorkerOptions {
  /** Model repository: a folder of model folders. */
  readonly models: string;
  /** Address to listen on. Default 127.0.0.1; 0.0.0.0 for all. */
  readonly host?: string;
  /** Default 50051; 0 picks a free one. */
  readonly port?: number;
  /** TLS; plain text without it, for private networks. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** How often the repository is looked at for changes; a change is taken up once two looks agree. Default 1,000 ms, 0 is never. */
  readonly pollMs?: number;
  /** How long running calls may take to end when the worker is told to stop. Default 10,000 ms. */
  readonly drainMs?: number;
  /** Default: JSON lines on standard error from `info` on. */
  readonly log?: WorkerLog;
}

/** A running worker. */
export class StandaloneWorker {
  /** The port it listens on. */
  readonly port: number;
  /** Resolves when every model has been loaded or has failed to. Rejects when the repository cannot be read. */
  readonly loaded: Promise<void>;
  readonly #parts: Parts;
  #closing: Promise<void> | undefined;

  /** Use `startStandaloneWorker`. */
  constructor(port: number, parts: Parts) {
    this.port = port;
    this.#parts = parts;
    this.loaded = this.#loadAll();
    // The caller may look at it late; the failure is logged in any case.
    this.loaded.catch(() => {});
  }

  /** Refuses new calls, lets running ones end within the drain time, frees the models. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #loadAll(): Promise<void> {
    const { sync, gate, registry, log } = this.#parts;
    try {
      await sync.loadAll();
    } catch (error) {
      log("error", "repository_unreadable", { reason: errorText(error) });
      throw error;
    } finally {
      gate.loaded = true;
      registry.notify();
    }
    const ready = registry.entries().filter(({ state }) => state.state === "ready").length;
    log("info", "loaded", { ready, models: registry.entries().length });
    void this.#pollForEver();
  }

  async #pollForEver(): Promise<void> {
    const { pollMs, sync, stop, log } = this.#parts;
    while (pollMs > 0) {
      try {
        await delay(pollMs, undefined, { signal: stop.signal, ref: false });
      } catch {
        return;
      }
      await sync
        .poll()
        .catch((error: unknown) => log("error", "repository_unreadable", { reason: errorText(error) }));
    }
  }

  async #close(): Promise<void> {
    const { gate, registry, server, stop, sync, drainMs, log } = this.#parts;
    gate.draining = true;
    registry.notify();
    stop.abort();
    log("info", "draining");
    await server.close({ graceMs: drainMs });
    await sync.idle();
    for (const { state } of registry.entries()) if (state.state === "ready") await state.model.close();
    log("info", "stopped");
  }
}

interface Parts {
  readonly registry: ModelRegistry;
  readonly sync: RepositorySync;
  readonly server: GrpcServer;
  readonly gate: { loaded: boolean; draining: boolean };
  readonly stop: AbortController;
  readonly log: WorkerLog;
  readonly pollMs: number;
  readonly drainMs: number;
}

/** Listens at once and loads in the background: health tells when. Rejects when the address is taken. */
export async function startStandaloneWorker(options: StandaloneWorkerOptions): Promise<StandaloneWorker> {
  const { models, host = "127.0.0.1", port = 50_051, tls, pollMs = 1_000, drainMs = 10_000 } = options;
  const log = options.log ?? createJsonLog("info");
  const registry = new ModelRegistry();
  const sync = new RepositorySync({ directory: models, registry, log });
  const gate = { loaded: false, draining: false };
  const methods = workerMethods({
    registry,
    control: sync,
    identity: { name: "spillway-worker", version: packageVersion },
    isServing: () => gate.loaded && !gate.draining,
  });
  const server = createGrpcServer({ methods, ...(tls === undefined ? {} : { tls }) });
  const bound = await server.listen({ host, port });
  log("info", "listening", { host, port: bound, models, pid: process.pid });
  const stop = new AbortController();
  return new StandaloneWorker(bound, { registry, sync, server, gate, stop, log, pollMs, drainMs });
}
