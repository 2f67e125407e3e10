/** Which models of a server are in memory: loading, keep-alive, eviction, and who waits for a place. */
import type { Clock, Timer } from "../clock.ts";
import { Engine } from "./engine.ts";
import type { EngineObserver } from "./engine.ts";
import type { EngineOptions } from "./options.ts";

/** What the host needs to know of a model. */
export interface HostedModel {
  readonly name: string;
  readonly engine: EngineOptions;
  /** Simulated milliseconds from the first request to the first step. */
  readonly loadMs: number;
}

/** Bounds of a host. */
export interface HostOptions {
  /** Models in memory at once (Ollama `OLLAMA_MAX_LOADED_MODELS`). */
  readonly maxLoaded: number;
  /** Requests that wait for a model (Ollama `OLLAMA_MAX_QUEUE`); the next is refused. */
  readonly maxQueue: number;
  /** How long an idle model stays; Infinity is for ever (Ollama `OLLAMA_KEEP_ALIVE`). */
  readonly keepAliveMs: number;
}

/** A model in memory, or on its way there. */
export interface Runner {
  readonly model: HostedModel;
  readonly engine: Engine;
  readonly state: "loading" | "ready";
  /** When it is unloaded if nobody comes, in the clock's wall time; Infinity is never. */
  readonly expiresAt: number;
  /** Requests that hold it. */
  readonly users: number;
}

/** A request's claim on a model. */
export interface Claim {
  readonly model: HostedModel;
  /** Set once the model is in memory. */
  readonly runner: Runner | undefined;
  /** Simulated milliseconds between the claim and the model's being ready. */
  readonly loadedAfterMs: number;
  /** Gives the model back, or leaves the queue. Once; later calls do nothing. */
  release(): void;
}

interface Seat extends Claim {
  runner: Slot | undefined;
  loadedAfterMs: number;
  readonly since: number;
  readonly keepAliveMs: number;
  readonly ready: (runner: Runner) => void;
  released: boolean;
}

interface Slot extends Runner {
  state: "loading" | "ready";
  expiresAt: number;
  users: number;
  keepAliveMs: number;
  waiting: Seat[];
  timer: Timer | undefined;
}

/** Loads and unloads models on demand. */
export class ModelHost {
  readonly #options: HostOptions;
  readonly #clock: Clock;
  readonly #observe: ((model: HostedModel) => EngineObserver) | undefined;
  readonly #slots = new Map<string, Slot>();
  readonly #queue: Seat[] = [];
  /** Models loaded and thrown out since the start. */
  readonly counters = { loads: 0, evictions: 0, refused: 0 };

  constructor(options: HostOptions, clock: Clock, observe?: (model: HostedModel) => EngineObserver) {
    this.#options = options;
    this.#clock = clock;
    this.#observe = observe;
  }

  /** Models in memory or loading, in the order of their names. */
  runners(): Runner[] {
    return [...this.#slots.values()].sort((a, b) => (a.model.name < b.model.name ? -1 : 1));
  }

  /** The runner of a model, if it is in memory or loading. */
  runner(name: string): Runner | undefined {
    return this.#slots.get(name);
  }

  /** Requests that wait for a place or for a model to load. */
  get waiting(): number {
    let count = this.#queue.length;
    for (const { waiting } of this.#slots.values()) count += waiting.length;
    return count;
  }

  /**
   * Asks for a model. `ready` is called once it is in memory, at once if it is there already.
   * @returns the claim, which must be released; undefined when the queue is full
   */
  claim(
    model: HostedModel,
    {
      keepAliveMs = this.#options.keepAliveMs,
      ready,
    }: { keepAliveMs?: number | undefined; ready: Seat["ready"] },
  ): Claim | undefined {
    const slot = this.#slots.get(model.name);
    if (slot?.state !== "ready" && this.waiting >= this.#options.maxQueue) {
      this.counters.refused += 1;
      return undefined;
    }
    const release = (): void => this.#release(seat);
    const seat: Seat = {
      model,
      runner: undefined,
      loadedAfterMs: 0,
      since: this.#clock.now(),
      keepAliveMs,
      ready,
      released: false,
      release,
    };
    if (slot !== undefined) this.#sit(seat, slot);
    else {
      this.#queue.push(seat);
      this.#serveQueue();
    }
    return seat;
  }

  /** Puts a model in memory without waiting, as a server that starts with it. */
  preload(model: HostedModel): Runner {
    const slot = this.#slots.get(model.name) ?? this.#createSlot(model);
    slot.state = "ready";
    this.#rest(slot);
    return slot;
  }

  /** Unloads a model as soon as nobody holds it. */
  unload(name: string): void {
    const slot = this.#slots.get(name);
    if (slot === undefined) return;
    slot.keepAliveMs = 0;
    if (slot.users === 0 && slot.state === "ready") this.#evict(slot);
  }

  /** Stops all engines and timers. */
  close(): void {
    for (const slot of this.#slots.values()) {
      slot.timer?.cancel();
      slot.engine.close();
    }
    this.#slots.clear();
    this.#queue.length = 0;
  }

  #createSlot(model: HostedModel): Slot {
    const slot: Slot = {
      model,
      engine: new Engine(model.engine, this.#clock, this.#observe?.(model)),
      state: "loading",
      expiresAt: Infinity,
      users: 0,
      keepAliveMs: this.#options.keepAliveMs,
      waiting: [],
      timer: undefined,
    };
    this.#slots.set(model.name, slot);
    this.counters.loads += 1;
    return slot;
  }

  #sit(seat: Seat, slot: Slot): void {
    if (slot.state === "loading") {
      slot.waiting.push(seat);
      return;
    }
    slot.timer?.cancel();
    slot.timer = undefined;
    slot.users += 1;
    slot.keepAliveMs = seat.keepAliveMs;
    slot.expiresAt = this.#clock.wallNow() + slot.keepAliveMs;
    seat.runner = slot;
    seat.loadedAfterMs = this.#clock.now() - seat.since;
    seat.ready(slot);
  }

  /** First come, first served; one that finds its model on the way sits down with it. */
  #serveQueue(): void {
    for (let seat = this.#queue[0]; seat !== undefined; seat = this.#queue[0]) {
      const slot = this.#slots.get(seat.model.name);
      if (slot !== undefined) {
        this.#queue.shift();
        this.#sit(seat, slot);
        continue;
      }
      if (this.#slots.size >= this.#options.maxLoaded && !this.#makeRoom()) return;
      this.#queue.shift();
      this.#load(seat);
    }
  }

  #load(seat: Seat): void {
    const slot = this.#createSlot(seat.model);
    slot.waiting.push(seat);
    slot.timer = this.#clock.after(seat.model.loadMs, () => {
      slot.timer = undefined;
      slot.state = "ready";
      const waiting = slot.waiting.splice(0);
      for (const each of waiting) this.#sit(each, slot);
      if (slot.users === 0) this.#rest(slot);
    });
  }

  /** Evicts the idle model with the shortest keep-alive, by name among equals, as Ollama does. */
  #makeRoom(): boolean {
    const idle = this.runners()
      .map(({ model }) => this.#slots.get(model.name))
      .filter((slot) => slot !== undefined && slot.users === 0 && slot.state === "ready")
      .sort((a, b) => (a?.keepAliveMs ?? 0) - (b?.keepAliveMs ?? 0));
    const [first] = idle;
    if (first === undefined) return false;
    this.#remove(first);
    return true;
  }

  #release(seat: Seat): void {
    if (seat.released) return;
    seat.released = true;
    remove(this.#queue, seat);
    const waitsAt = this.#slots.get(seat.model.name);
    if (waitsAt !== undefined) remove(waitsAt.waiting, seat);
    const slot = seat.runner;
    if (slot === undefined) return;
    slot.users -= 1;
    if (slot.users === 0) this.#rest(slot);
  }

  #rest(slot: Slot): void {
    slot.expiresAt = this.#clock.wallNow() + slot.keepAliveMs;
    if (this.#queue.length > 0) {
      this.#serveQueue();
      if (slot.users > 0 || this.#slots.get(slot.model.name) !== slot) return;
    }
    if (slot.keepAliveMs <= 0) this.#evict(slot);
    else if (slot.keepAliveMs < Infinity)
      slot.timer = this.#clock.after(slot.keepAliveMs, () => this.#evict(slot));
  }

  #evict(slot: Slot): void {
    this.#remove(slot);
    this.#serveQueue();
  }

  #remove(slot: Slot): void {
    slot.timer?.cancel();
    slot.engine.close();
    this.#slots.delete(slot.model.name);
    this.counters.evictions += 1;
  }
}

function remove(list: Seat[], seat: Seat): void {
  const at = list.indexOf(seat);
  if (at >= 0) list.splice(at, 1);
}
