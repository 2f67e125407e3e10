/** Which models are loaded: on demand, one load at a time, within a bound of memory, until nobody has used them for a while. */
import type { Log } from "../log.ts";
import type { FileFacts, Runtime, RuntimeModel, RuntimeSlot } from "../port.ts";
import { errorText, Refusal } from "../refusal.ts";
import { findModels, withoutLatest, type FoundModel } from "./find-models.ts";
import { SlotPool } from "./slot-pool.ts";

/** What the store is told. */
export interface ModelStoreOptions {
  readonly folders: readonly string[];
  readonly runtime: Runtime;
  readonly log: Log;
  /** Memory of all loaded models together, bytes. */
  readonly memoryBytes: number;
  /** How long a model stays without requests where none says otherwise, ms. */
  readonly keepAliveMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** A loaded model in use: `release` it once. */
export interface ModelLease {
  readonly name: string;
  readonly model: RuntimeModel;
  readonly slots: SlotPool<RuntimeSlot>;
  /** Milliseconds the load took that this lease waited for; 0 where it was loaded. */
  readonly loadMs: number;
  release(): void;
}

/** A loaded model as listings show it. */
export interface LoadedModel {
  readonly found: FoundModel;
  readonly model: RuntimeModel;
  /** When it goes if nobody asks, ms since 1970; Infinity: never. */
  readonly expiresMs: number;
}

interface Entry {
  readonly found: FoundModel;
  readonly model: RuntimeModel;
  readonly slots: SlotPool<RuntimeSlot>;
  users: number;
  usedMs: number;
  keepAliveMs: number;
  expiry: NodeJS.Timeout | undefined;
}

/** Timers take no longer waits. */
const longestTimerMs = 2 ** 31 - 1;

/** The models of some folders. */
export class ModelStore {
  readonly #options: ModelStoreOptions;
  readonly #loaded = new Map<string, Entry>();
  /** The last load or unload under way: they follow each other. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Called when a model was released or unloaded. */
  #onRoom: (() => void)[] = [];
  #closed = false;

  constructor(options: ModelStoreOptions) {
    this.#options = options;
  }

  /** What is on disk now. */
  list(): Promise<FoundModel[]> {
    return findModels(this.#options.folders);
  }

  /** What is in memory now. */
  loaded(): LoadedModel[] {
    return [...this.#loaded.values()].map(({ found, model, users, usedMs, keepAliveMs }) => {
      const from = users > 0 ? this.#options.now() : usedMs;
      return { found, model, expiresMs: from + keepAliveMs };
    });
  }

  /** The model of a name on disk. Throws a `Refusal` where there is none. */
  async find(name: string): Promise<FoundModel> {
    const wanted = withoutLatest(name);
    const found = (await this.list()).find((model) => model.name === wanted);
    if (found === undefined) throw new Refusal("model_not_found", `model "${name}" not found`, "model");
    return found;
  }

  /** What a model's file says; it is not loaded for that. Rejects with a `Refusal` as `acquire` does. */
  async describe(found: FoundModel): Promise<FileFacts> {
    const entry = this.#loaded.get(found.name);
    return entry === undefined ? this.#options.runtime.describe(found.file) : entry.model.facts;
  }

  /**
   * The model, loaded if it is not. Rejects with a `Refusal` where it is unknown, broken or too large, and with the
   * signal's reason once that is aborted.
   */
  async acquire(
    name: string,
    { keepAliveMs, signal }: { readonly keepAliveMs: number | undefined; readonly signal: AbortSignal },
  ): Promise<ModelLease> {
    const startMs = this.#options.now();
    const found = await this.find(name);
    signal.throwIfAborted();
    const ready = this.#current(found);
    const entry = ready ?? (await this.#inTurn(() => this.#ensure(found, signal)));
    if (ready !== undefined) this.#hold(ready);
    entry.keepAliveMs = keepAliveMs ?? this.#options.keepAliveMs;
    const { model, slots } = entry;
    const loadMs = ready === undefined ? this.#options.now() - startMs : 0;
    return { name: found.name, model, slots, loadMs, release: once(() => this.#release(entry)) };
  }

  /** Unloads a model when its last request has ended. Does nothing where it is not loaded. */
  expire(name: string): void {
    const entry = this.#loaded.get(withoutLatest(name));
    if (entry === undefined) return;
    entry.keepAliveMs = 0;
    if (entry.users === 0) this.#startExpiry(entry);
  }

  /** Frees what is idle and keeps nothing from then on. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const entry of this.#loaded.values()) {
      entry.keepAliveMs = 0;
      if (entry.users === 0) await this.#inTurn(() => this.#unload(entry, "closing"));
    }
  }

  /** Loaded and unchanged on disk; one that changed is used until it is idle. */
  #current(found: FoundModel): Entry | undefined {
    const entry = this.#loaded.get(found.name);
    if (entry === undefined || entry.users > 0) return entry;
    const same = entry.found.file === found.file && entry.found.modifiedMs === found.modifiedMs;
    return same && entry.found.bytes === found.bytes ? entry : undefined;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    try {
      return await work();
    } finally {
      resolve();
    }
  }

  /**
   * Loads unless somebody before has. The caller holds what comes back. A load goes on when its caller leaves:
   * clients that try again after a short timeout would otherwise never see the model.
   */
  async #ensure(found: FoundModel, signal: AbortSignal): Promise<Entry> {
    signal.throwIfAborted();
    const known = this.#current(found);
    if (known !== undefined) return this.#hold(known);
    const changed = this.#loaded.get(found.name);
    if (changed !== undefined) await this.#unload(changed, "changed");
    await this.#makeRoom(found.bytes, signal);
    const entry = this.#hold(await this.#load(found));
    // What it takes beyond its file is known only now.
    await this.#evictIdle(0);
    if (signal.aborted) this.#release(entry);
    signal.throwIfAborted();
    return entry;
  }

  async #load(found: FoundModel): Promise<Entry> {
    const { runtime, log, now, keepAliveMs } = this.#options;
    const startMs = now();
    let model: RuntimeModel;
    try {
      model = await runtime.load(found.file);
    } catch (error) {
      log("warn", "model_not_loaded", { model: found.name, reason: errorText(error) });
      throw error;
    }
    const slots = new SlotPool(model.slots);
    const entry: Entry = { found, model, slots, users: 0, usedMs: now(), keepAliveMs, expiry: undefined };
    this.#loaded.set(found.name, entry);
    log("info", "model_loaded", {
      model: found.name,
      tookMs: Math.round(now() - startMs),
      memoryBytes: model.memoryBytes,
      contextSize: model.contextSize,
      chatFormat: model.chatFormat,
    });
    return entry;
  }

  /** Waits until `bytes` more fit, unloading what was used longest ago. */
  async #makeRoom(bytes: number, signal: AbortSignal): Promise<void> {
    const { memoryBytes } = this.#options;
    if (bytes > memoryBytes) {
      const sizes = `its file has ${megabytes(bytes)} MB, the engine may use ${megabytes(memoryBytes)} MB`;
      throw new Refusal("model_too_large", `The model does not fit into memory: ${sizes}`, "model");
    }
    while (!(await this.#evictIdle(bytes))) await this.#roomOr(signal);
  }

  /** True once `bytes` more fit; false where only models in use are left. */
  async #evictIdle(bytes: number): Promise<boolean> {
    for (;;) {
      const used = [...this.#loaded.values()].reduce((sum, { model }) => sum + model.memoryBytes, 0);
      if (used + bytes <= this.#options.memoryBytes) return true;
      const idle = [...this.#loaded.values()].filter(({ users }) => users === 0);
      const oldest = idle.toSorted((a, b) => a.usedMs - b.usedMs)[0];
      if (oldest === undefined) return false;
      await this.#unload(oldest, "evicted");
    }
  }

  /** Resolves when a model was released; rejects when the signal is aborted. */
  #roomOr(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const left = (): void => reject(signal.reason as Error);
      signal.addEventListener("abort", left, { once: true });
      this.#onRoom.push(() => {
        signal.removeEventListener("abort", left);
        resolve();
      });
    });
  }

  #hold(entry: Entry): Entry {
    clearTimeout(entry.expiry);
    entry.users++;
    return entry;
  }

  #release(entry: Entry): void {
    entry.users--;
    entry.usedMs = this.#options.now();
    if (this.#closed) entry.keepAliveMs = 0;
    if (entry.users > 0) return;
    this.#startExpiry(entry);
    for (const listener of this.#onRoom.splice(0)) listener();
  }

  #startExpiry(entry: Entry): void {
    clearTimeout(entry.expiry);
    if (entry.keepAliveMs === Infinity) return;
    const expire = (): void => {
      void this.#inTurn(() => this.#unload(entry, "expired"));
    };
    entry.expiry = setTimeout(expire, Math.min(entry.keepAliveMs, longestTimerMs)).unref();
  }

  /** Frees an idle model; one that is in use again stays. */
  async #unload(entry: Entry, reason: string): Promise<void> {
    const { name } = entry.found;
    if (entry.users > 0 || this.#loaded.get(name) !== entry) return;
    clearTimeout(entry.expiry);
    this.#loaded.delete(name);
    await entry.model.close();
    this.#options.log("info", "model_unloaded", { model: name, reason });
  }
}

function megabytes(bytes: number): number {
  return Math.ceil(bytes / 1e6);
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    work();
  };
}
