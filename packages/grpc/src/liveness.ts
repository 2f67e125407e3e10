/** Finds out that a silent peer is gone: asks by PING, and gives up when no answer comes. */

/** What is watched. */
export interface Watched {
  /** When bytes last arrived. */
  readonly heardAtMs: number;
  ping(): void;
}

/** Watches one connection; told the time by its owner's timer. */
export class Liveness {
  readonly #watched: Watched;
  readonly #silenceMs: number;
  #pingedAtMs = Number.NEGATIVE_INFINITY;

  /** After `silenceMs` without a byte a PING is sent; after as long again the peer counts as gone. */
  constructor(watched: Watched, silenceMs: number) {
    this.#watched = watched;
    this.#silenceMs = silenceMs;
  }

  /** False when the peer is gone. */
  check(nowMs: number): boolean {
    const { heardAtMs } = this.#watched;
    if (nowMs - heardAtMs < this.#silenceMs) return true;
    if (this.#pingedAtMs > heardAtMs) return nowMs - this.#pingedAtMs <= this.#silenceMs;
    this.#pingedAtMs = nowMs;
    this.#watched.ping();
    return true;
  }
}
