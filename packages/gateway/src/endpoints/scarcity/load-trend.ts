/** Whether a load grows, and when it reaches a bound: a straight line through its last minute. */

/** Points that are kept; one a second makes a minute. */
const maxPoints = 60;
/** Points before a slope says anything. */
const leastPoints = 15;
/**
 * A slope counts where it is so many times its standard error. For 60 independent points 2 would be enough (Student's t,
 * 95 %) to be wrong once in twenty looks; there is a look each second, and requests that last for seconds make points
 * alike their neighbours, so that errors look smaller than they are.
 */
const leastErrors = 6;
/** What lies further ahead than an hour nobody knows, s. */
const farthestSeconds = 3_600;

/** Least squares over the last points. */
export class LoadTrend {
  readonly #at: number[] = [];
  readonly #loads: number[] = [];

  /** Adds a point; `atMs` grows. */
  add(atMs: number, load: number): void {
    this.#at.push(atMs);
    this.#loads.push(load);
    if (this.#at.length <= maxPoints) return;
    this.#at.shift();
    this.#loads.shift();
  }

  /** Seconds until the load reaches `bound` as it grows; `Infinity` where it does not, or not for certain. */
  secondsTo(bound: number): number {
    const { slope, error, now } = this.#fit();
    if (!(slope > 0) || slope < leastErrors * error) return Infinity;
    const seconds = Math.max(0, bound - now) / slope;
    return seconds > farthestSeconds ? Infinity : seconds;
  }

  /** Slope a second, its standard error, and where the line stands at the last point. */
  #fit(): { readonly slope: number; readonly error: number; readonly now: number } {
    const count = this.#at.length;
    if (count < leastPoints) return flat;
    const seconds = this.#at.map((at) => at / 1_000);
    const middle = mean(seconds);
    const level = mean(this.#loads);
    let spread = 0;
    let shared = 0;
    for (const [index, at] of seconds.entries()) {
      spread += (at - middle) ** 2;
      shared += (at - middle) * ((this.#loads[index] ?? 0) - level);
    }
    if (spread === 0) return flat;
    const slope = shared / spread;
    let rest = 0;
    for (const [index, at] of seconds.entries())
      rest += ((this.#loads[index] ?? 0) - level - slope * (at - middle)) ** 2;
    const now = level + slope * ((seconds.at(-1) ?? middle) - middle);
    return { slope, error: Math.sqrt(rest / (count - 2) / spread), now };
  }
}

const flat = { slope: 0, error: Infinity, now: 0 };

function mean(values: readonly number[]): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
