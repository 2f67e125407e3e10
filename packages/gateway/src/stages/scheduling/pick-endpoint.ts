/** The choice among endpoints. */
import type { HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { Random } from "../../core/random.ts";

/** What the choice depends on besides the endpoints. */
export interface PickOptions {
  readonly model: string;
  /** Breaks ties. */
  readonly random: Random;
  /** `needed`: only endpoints below their capacity. `wanted`: others too where there is none. */
  readonly room: "needed" | "wanted";
}

/**
 * The endpoint with room where a further request waits least: attempts outstanding with this one,
 * divided by the measured speed; one without a measured speed counts as the fastest, so that it gets
 * measured. Endpoints that hold the model in memory go before all others. Ties are broken at random.
 */
export function pickEndpoint(
  candidates: readonly HttpEndpoint[],
  options: PickOptions,
): HttpEndpoint | undefined {
  const found = pick(candidates, options, false);
  return found ?? (options.room === "wanted" ? pick(candidates, options, true) : undefined);
}

function pick(
  candidates: readonly HttpEndpoint[],
  { model, random }: PickOptions,
  full: boolean,
): HttpEndpoint | undefined {
  let best: HttpEndpoint | undefined;
  let bestLoaded = false;
  let bestWork = 0;
  let ties = 1;
  const fastest = fastestOf(candidates);
  for (const endpoint of candidates) {
    if (!full && endpoint.inFlight >= endpoint.capacity) continue;
    const loaded = endpoint.isLoaded(model);
    const work = (endpoint.inFlight + 1) / (endpoint.speed > 0 ? endpoint.speed : fastest);
    if (best !== undefined) {
      if (bestLoaded && !loaded) continue;
      const better = loaded !== bestLoaded || work < bestWork;
      if (!better && work > bestWork) continue;
      ties = better ? 1 : ties + 1;
      if (!better && random.unit() * ties >= 1) continue;
    }
    best = endpoint;
    bestLoaded = loaded;
    bestWork = work;
  }
  return best;
}

function fastestOf(candidates: readonly HttpEndpoint[]): number {
  let fastest = 0;
  for (const { speed } of candidates) if (speed > fastest) fastest = speed;
  return fastest === 0 ? 1 : fastest;
}
