/** LoRA adapters: some run at once, more are kept, the least recently used goes. */

/** What an engine knows of its adapters. */
export class Adapters {
  readonly #maxRunning: number;
  readonly #maxLoaded: number;
  /** In the order of their last use. */
  readonly #loaded = new Map<string, number>();
  /** Adapters loaded since the start. */
  loads = 0;

  constructor(limits: { maxAdapters: number; maxLoadedAdapters: number }) {
    this.#maxRunning = limits.maxAdapters;
    this.#maxLoaded = Math.max(limits.maxLoadedAdapters, limits.maxAdapters);
  }

  /** Names in memory, least recently used first. */
  loaded(): string[] {
    return [...this.#loaded.keys()];
  }

  /** Names with running sequences, in no order. */
  running(): string[] {
    return [...this.#loaded].filter(([, users]) => users > 0).map(([name]) => name);
  }

  /** Counts a sequence in. `"full"` when as many others run as may; `"load"` when it has to be loaded first. */
  enter(name: string): "ready" | "load" | "full" {
    const users = this.#loaded.get(name);
    if ((users ?? 0) === 0 && this.running().length >= this.#maxRunning) return "full";
    this.#loaded.delete(name);
    this.#loaded.set(name, (users ?? 0) + 1);
    if (users !== undefined) return "ready";
    this.loads += 1;
    if (this.#loaded.size > this.#maxLoaded) this.#evict();
    return "load";
  }

  /** Counts a sequence out. */
  leave(name: string): void {
    const users = this.#loaded.get(name);
    if (users !== undefined) this.#loaded.set(name, Math.max(0, users - 1));
  }

  #evict(): void {
    for (const [name, users] of this.#loaded) {
      if (users > 0) continue;
      this.#loaded.delete(name);
      return;
    }
  }
}
