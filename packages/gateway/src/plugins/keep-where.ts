/** What filters that look at one endpoint after the other have in common. */
import type { Candidates, SchedulableEndpoint } from "../contracts/plugins/scheduling.ts";

/** Leaves the endpoints that pass. With `fallback` all stay where none does. */
export function keepWhere(
  candidates: Candidates,
  passes: (endpoint: SchedulableEndpoint) => boolean,
  fallback = false,
): void {
  const { endpoints, positions, count } = candidates;
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const position = positions[i] ?? 0;
    const endpoint = endpoints[position];
    if (endpoint !== undefined && passes(endpoint)) positions[kept++] = position;
  }
  // Nothing has been written where nothing is kept.
  if (kept > 0 || !fallback) candidates.keep(kept);
}
