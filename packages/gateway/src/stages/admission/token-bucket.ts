/** A token bucket (https://en.wikipedia.org/wiki/Token_bucket) that may go into debt. */

/** What a bucket allows. */
export interface BucketRate {
  /** Refilled a minute, evenly. */
  readonly perMinute: number;
  /** Most that it holds, and so may be taken at once after a pause. */
  readonly capacity: number;
}

/** Refilled when it is looked at, so that it needs no timer. Times are in ms on one monotonic clock. */
export class TokenBucket {
  #capacity: number;
  #perMinute: number;
  #level: number;
  #refilledAt: number;

  /** Starts full. */
  constructor(rate: BucketRate, now: number) {
    this.#capacity = rate.capacity;
    this.#perMinute = rate.perMinute;
    this.#level = rate.capacity;
    this.#refilledAt = now;
  }

  get capacity(): number {
    return this.#capacity;
  }

  get perMinute(): number {
    return this.#perMinute;
  }

  /** Goes on with another rate; what was used stays used. */
  change(rate: BucketRate, now: number): void {
    this.#refill(now);
    this.#level += rate.capacity - this.#capacity;
    this.#capacity = rate.capacity;
    this.#perMinute = rate.perMinute;
  }

  /** Ms until so many are there; 0 where they are. More than it holds is never there: ask for at most `capacity`. */
  waitFor(amount: number, now: number): number {
    this.#refill(now);
    return this.#level >= amount ? 0 : ((amount - this.#level) * 60_000) / this.#perMinute;
  }

  /** Takes, though it be into debt; a negative amount is given back. */
  charge(amount: number): void {
    this.#level = Math.min(this.#capacity, this.#level - amount);
  }

  /** Whole ones that are there. */
  remaining(now: number): number {
    this.#refill(now);
    return Math.max(0, Math.floor(this.#level));
  }

  /** A clock that stands still or goes back refills nothing. */
  #refill(now: number): void {
    const elapsed = now - this.#refilledAt;
    if (!(elapsed > 0)) return;
    this.#refilledAt = now;
    this.#level = Math.min(this.#capacity, this.#level + (elapsed * this.#perMinute) / 60_000);
  }
}
