/** Servers that hold the model in memory go first. */
import { z } from "zod";
import type { Candidates, Filter, ScheduledRequest } from "../../contracts/plugins/scheduling.ts";
import { definePlugin } from "../define-plugin.ts";

class LoadedModelFilter implements Filter {
  filter(candidates: Candidates, { model }: ScheduledRequest): void {
    const { endpoints, positions, count } = candidates;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const position = positions[i] ?? 0;
      if (endpoints[position]?.isLoaded(model) === true) positions[kept++] = position;
    }
    // Nothing has been written where nothing is kept.
    if (kept > 0) candidates.keep(kept);
  }
}

/** `loaded-model-filter`. */
export const loadedModelFilter = definePlugin({
  type: "loaded-model-filter",
  kinds: ["filter"],
  summary: "Leaves the endpoints that hold the model in memory, where there are such; else all",
  parameters: z.strictObject({}),
  create: (): Filter => new LoadedModelFilter(),
});
