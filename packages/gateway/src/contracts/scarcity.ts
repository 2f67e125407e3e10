/** How scarce the servers of a model are, and how many of them there should be. */
import type { Inspect } from "./inspect.ts";

/**
 * - `plenty`: requests find a place at once, and would if there were half as many more.
 * - `tight`: they still do, or wait a moment; a little more and a line forms.
 * - `scarce`: there is more work than the servers can do.
 */
export const scarcityRegimes = ["plenty", "tight", "scarce"] as const;

/** One of `scarcityRegimes`. */
export type ScarcityRegime = (typeof scarcityRegimes)[number];

/** What is known of one model of a pool. */
export interface ScarcityReading {
  readonly pool: string;
  /** `*`: every model of a pool whose servers take any. */
  readonly model: string;
  readonly regime: ScarcityRegime;
  /** Since when, ms on the clock. */
  readonly since: number;
  /** Of the model's servers, smoothed: 0 idle, 1 full, above: more than full. */
  readonly saturation: number;
  /** Requests that wait, in the pool's line and in the model's servers. */
  readonly waiting: number;
  /** How fast that grows, requests a second, smoothed; negative where it shrinks. */
  readonly growth: number;
  /** How long a request that comes now is expected to wait, ms; `Infinity` where nothing is served. */
  readonly waitMs: number;
  /** Servers that can be asked for the model. */
  readonly replicas: number;
  /** Servers that the present work would need, with some room. */
  readonly replicasWanted: number;
  /** Until the servers are full if the work goes on to grow as it does; `Infinity`: it does not grow; 0: they are. */
  readonly secondsToSaturation: number;
}

/** The scarcity of a pool's models. */
export interface Scarcity extends Inspect {
  /** `plenty` for a model of which nothing is known. */
  regimeOf(model: string): ScarcityRegime;
  /** Of every model that is followed. */
  readings(): readonly ScarcityReading[];
}
