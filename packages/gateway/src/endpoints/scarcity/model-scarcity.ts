/** How scarce the servers of one model are: what is measured of them, smoothed, and what follows from it. */
import type { ScarcityReading } from "../../contracts/scarcity.ts";
import { LoadTrend } from "./load-trend.ts";
import { RegimeSwitch } from "./regime-switch.ts";
import { ReplicaAdvice } from "./replica-advice.ts";

/** What is seen of a model at one moment. */
export interface ScarcitySample {
  readonly now: number;
  /** Mean of its servers' saturation, by what they can do; may be above 1. */
  readonly saturation: number;
  /** Servers that can be asked. */
  readonly replicas: number;
  /** Sum of its servers' saturation, each counted as 1 at most: so many servers are in use. */
  readonly inUse: number;
  /** Requests that wait, in line here and in the servers. */
  readonly waiting: number;
  /** Requests that a full server works on at once; 0 while unknown. */
  readonly roomOfOne: number;
  /** Requests answered so far. */
  readonly answered: number;
  /** How long the first in line has waited, ms; 0 where nobody does. */
  readonly oldestMs: number;
}

/** Time constants of the averages, ms: a third of what counts is older. */
const smoothMs = { saturation: 1_000, growth: 5_000, answers: 10_000, room: 10_000, load: 15_000 };
/** A wait that is as bad as servers that are full, ms. */
const longWaitMs = 2_000;
/** How far ahead the growth of the line is looked at, ms. */
const aheadMs = 10_000;
/** A point of the trend each so often, ms. */
const trendMs = 1_000;

/** One model. */
export class ModelScarcity {
  readonly #pool: string;
  readonly #model: string;
  readonly #regime: RegimeSwitch;
  readonly #advice: ReplicaAdvice;
  readonly #trend = new LoadTrend();
  #last: ScarcitySample | undefined;
  #saturation = 0;
  #growth = 0;
  /** Answers a ms. */
  #answers = 0;
  /** In full servers. */
  #load = 0;
  #room = 0;
  /** Loads since the last point of the trend. */
  readonly #recent = { sum: 0, count: 0, since: Number.NEGATIVE_INFINITY };
  #waitMs = 0;
  #wanted = 0;

  constructor(pool: string, model: string, now: number) {
    this.#pool = pool;
    this.#model = model;
    this.#regime = new RegimeSwitch(now);
    this.#advice = new ReplicaAdvice(now);
  }

  get regime(): ScarcityReading["regime"] {
    return this.#regime.regime;
  }

  /** What is known now. */
  reading(): ScarcityReading {
    const { waiting = 0, replicas = 0 } = this.#last ?? {};
    return {
      pool: this.#pool,
      model: this.#model,
      regime: this.#regime.regime,
      since: this.#regime.since,
      saturation: this.#saturation,
      waiting,
      growth: this.#growth * 1_000,
      waitMs: this.#waitMs,
      replicas,
      replicasWanted: this.#wanted,
      secondsToSaturation: replicas > 0 && this.#saturation >= 1 ? 0 : this.#trend.secondsTo(replicas),
    };
  }

  /** Takes what is seen now. */
  sample(seen: ScarcitySample): void {
    const last = this.#last;
    const elapsed = last === undefined ? Infinity : seen.now - last.now;
    if (elapsed <= 0) return;
    this.#smooth(seen, last, elapsed);
    this.#last = seen;
    this.#waitMs = this.#expectedWait(seen, seen.waiting);
    this.#regime.update(this.#strain(seen), seen.now);
    this.#wanted = this.#advice.update(this.#isIdle(seen) ? 0 : this.#load, seen.replicas, seen.now);
  }

  #smooth(seen: ScarcitySample, last: ScarcitySample | undefined, elapsed: number): void {
    const { roomOfOne: room } = seen;
    if (room > 0) this.#room = this.#room === 0 ? room : blend(this.#room, room, elapsed / smoothMs.room);
    this.#saturation = blend(this.#saturation, seen.saturation, elapsed / smoothMs.saturation);
    const load = seen.inUse + seen.waiting / Math.max(1, this.#room);
    this.#load = blend(this.#load, load, elapsed / smoothMs.load);
    this.#follow(load, seen.now);
    if (last === undefined) return;
    const growth = (seen.waiting - last.waiting) / elapsed;
    this.#growth = blend(this.#growth, growth, elapsed / smoothMs.growth);
    const answers = Math.max(0, seen.answered - last.answered) / elapsed;
    this.#answers = blend(this.#answers, answers, elapsed / smoothMs.answers);
  }

  /** The trend is one of loads as they were, not of their averages, which are all alike. */
  #follow(load: number, now: number): void {
    const recent = this.#recent;
    if (recent.count === 0) recent.since = now;
    recent.sum += load;
    recent.count++;
    if (now - recent.since < trendMs) return;
    this.#trend.add(now, recent.sum / recent.count);
    recent.sum = recent.count = 0;
  }

  /**
   * Little's law: what waits, over the rate at which it is answered. While that is not known, the age of the first in
   * line says at least how long it takes.
   */
  #expectedWait({ oldestMs, replicas }: ScarcitySample, waiting: number): number {
    if (waiting <= 0) return 0;
    const rate = this.#answers;
    if (rate > 1e-6) return waiting / rate;
    return replicas === 0 ? Infinity : oldestMs;
  }

  /** The worst of: how full the servers are, how long one waits, how long one will wait if the line goes on to grow. */
  #strain(seen: ScarcitySample): number {
    if (seen.replicas === 0) return seen.waiting > 0 ? 1 : 0;
    const grown = this.#growth > 0 ? seen.waiting + this.#growth * aheadMs : 0;
    const ahead = seen.oldestMs > 0 ? this.#expectedWait(seen, grown) / (2 * longWaitMs) : 0;
    const now = seen.oldestMs > 0 ? this.#waitMs / longWaitMs : 0;
    return Math.max(this.#saturation, Math.min(now, 2), Math.min(ahead, 2));
  }

  #isIdle({ inUse, waiting }: ScarcitySample): boolean {
    return inUse === 0 && waiting === 0 && this.#load < 0.01;
  }
}

/** Goes towards a value by the share that time constants of exponential averages give. */
function blend(old: number, value: number, constants: number): number {
  return old + (1 - Math.exp(-constants)) * (value - old);
}
