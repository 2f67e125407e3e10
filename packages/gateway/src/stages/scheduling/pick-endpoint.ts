/** The choice among endpoints. */
import type { HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { Random } from "../../core/random.ts";

/**
 * The endpoint with room where a further request waits least: attempts outstanding with this one,
 * divided by the measured speed; one without a measured speed counts as the fastest, so that it gets
 * measured. Endpoints that hold the model in memory go before all others. Ties are broken at random.
 * Undefined where none has room.
 */
export function pickEndpoint(
  candidates: readonly HttpEndpoint[],
  model: string,
  random: Random,
): HttpEndpoint | undefined {
  let best: HttpEndpoint | undefined;
  let bestLoaded = false;
  let bestWork = 0;
  let ties = 1;
  const fastest = fastestOf(candidates);
  for (const endpoint of candidates) {
    if (endpoint.inFlight >= endpoint.capacity) continue;
    const loaded = endpoint.isLoaded(model);
    const work = (endpoint.inFlight + 1) / speedOf(endpoint, fastest);
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

function speedOf({ speed }: HttpEndpoint, fastest: number): number {
  return speed > 0 ? speed : fastest;
}
