/** Gives out a model's slots: the free one that shares the longest prefix, in the order of asking. */

/**
 * A slot is taken for what it shares only where that is this much of the request. Every chat begins with the same few
 * tokens: for those alone the tokens of another conversation would be thrown away.
 */
const worthwhileShare = 0.5;

/** What is given out. */
export interface Slot {
  /** How many leading tokens are already in memory. */
  sharedPrefix(tokens: readonly number[]): number;
}

interface Waiter<S> {
  readonly tokens: readonly number[];
  readonly take: (slot: S) => void;
}

/** The slots of one model. Who waits is bounded by who asks. */
export class SlotPool<S extends Slot> {
  /** Longest free first: where nothing is shared, and of equal prefixes, the one least recently used is taken. */
  readonly #free: S[];
  readonly #waiting: Waiter<S>[] = [];

  constructor(slots: readonly S[]) {
    this.#free = [...slots];
  }

  /** A slot, given back with `release`. Rejects with the signal's reason when it is aborted before. */
  take(tokens: readonly number[], signal: AbortSignal): Promise<S> {
    signal.throwIfAborted();
    const slot = this.#best(tokens);
    if (slot !== undefined) return Promise.resolve(slot);
    return new Promise((resolve, reject) => {
      const waiter: Waiter<S> = {
        tokens,
        take: (given) => {
          signal.removeEventListener("abort", leave);
          resolve(given);
        },
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.push(waiter);
    });
  }

  /** Hands the slot to who has waited longest. */
  release(slot: S): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(slot);
    else next.take(slot);
  }

  #best(tokens: readonly number[]): S | undefined {
    let best = this.#free[0];
    let longest = tokens.length * worthwhileShare;
    for (const slot of this.#free) {
      const shared = slot.sharedPrefix(tokens);
      if (shared <= longest) continue;
      best = slot;
      longest = shared;
    }
    if (best !== undefined) this.#free.splice(this.#free.indexOf(best), 1);
    return best;
  }
}
