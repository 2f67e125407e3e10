/** Memory that all requests of a door share. */
import type { MetricValue } from "../../contracts/telemetry.ts";

/** Counts bytes held against a bound. */
export class ByteBudget {
  readonly #maxBytes: number;
  readonly #gauge: MetricValue;
  #held = 0;

  constructor(maxBytes: number, gauge: MetricValue) {
    this.#maxBytes = maxBytes;
    this.#gauge = gauge;
  }

  /** Bytes held now. */
  get held(): number {
    return this.#held;
  }

  /** Takes the bytes, or nothing and false when the bound would be passed. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#maxBytes) return false;
    this.force(bytes);
    return true;
  }

  /** Takes bytes that are there already and cannot be refused; others are refused earlier for it. */
  force(bytes: number): void {
    this.#held += bytes;
    this.#gauge.value += bytes;
  }

  /** Gives bytes back. */
  release(bytes: number): void {
    this.#held -= bytes;
    this.#gauge.value -= bytes;
  }
}
