/** What Envoy is told of the endpoints of a decision. */
import type { Explanations } from "../../contracts/explanation.ts";
import type { HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { EndpointScores } from "./write-replies.ts";

/** Addresses with commas between, the first choice first. */
export function addressesOf(endpoints: readonly HttpEndpoint[]): string {
  const [first, another] = endpoints;
  if (another === undefined) return first?.address ?? "";
  return endpoints.map(({ address }) => address).join(",");
}

/** What the endpoints scored in the last cycle of a request, in sum; undefined where nothing is known of it. */
export function scoresOf(explanations: Explanations, id: string): EndpointScores | undefined {
  const cycle = explanations.cyclesOf(id).at(-1);
  if (cycle === undefined) return undefined;
  const [chosen] = cycle.chosen;
  const profile = cycle.profiles.find(({ picked }) => picked[0] === chosen);
  return profile?.endpoints.flatMap(({ endpoint, total }) =>
    total === undefined ? [] : [[endpoint.slice(cycle.pool.length + 1), total] as const],
  );
}
