/** One number for many servers, which are not equally large. */
import type { SaturationSignal } from "../../contracts/plugins/flow.ts";
import type { Candidates, Filter, SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import type { Clock } from "../../core/clock.ts";

/**
 * A saturation signal that weighs each server by what it can do, and a filter that takes out those that are full.
 *
 * While any server is below 1 the whole is the weighted mean with full ones counted as 1: below 1, since there is room,
 * however long the line of one of them is. Once all are full, it is the weighted mean as it is.
 */
export abstract class WeightedSaturation implements SaturationSignal, Filter {
  readonly #clock: Clock;
  readonly #headroom: number;

  /** `headroom`: how far above 1 a server may be before the filter takes it out, as a share. */
  constructor(clock: Clock, headroom: number) {
    this.#clock = clock;
    this.#headroom = headroom;
  }

  abstract endpointSaturation(endpoint: SchedulableEndpoint, now: number): number;

  /** What a server can do compared with the others; positive. */
  protected abstract weightOf(endpoint: SchedulableEndpoint): number;

  saturation(endpoints: readonly SchedulableEndpoint[], now: number): number {
    let weights = 0;
    let capped = 0;
    let whole = 0;
    let hasRoom = false;
    for (const endpoint of endpoints) {
      const weight = this.weightOf(endpoint);
      const saturation = this.endpointSaturation(endpoint, now);
      weights += weight;
      whole += weight * saturation;
      capped += weight * Math.min(1, saturation);
      if (saturation < 1) hasRoom = true;
    }
    if (weights === 0) return 1;
    return (hasRoom ? capped : whole) / weights;
  }

  /** Where all are full none is taken out. */
  filter(candidates: Candidates): void {
    const { endpoints, positions, count } = candidates;
    const now = this.#clock.now();
    let kept = 0;
    for (let index = 0; index < count; index++) {
      const position = positions[index] ?? 0;
      const endpoint = endpoints[position];
      if (endpoint === undefined || this.endpointSaturation(endpoint, now) >= 1 + this.#headroom) continue;
      positions[kept++] = position;
    }
    if (kept > 0) candidates.keep(kept);
  }
}
