/** Requests that this gateway has under way at each server. */
import { z } from "zod";
import type { Candidates, ScheduledRequest, Scorer } from "../../contracts/plugins/scheduling.ts";
import { goDuration } from "../go-duration-schema.ts";
import { definePlugin } from "../define-plugin.ts";

const parameters = z.lazy(() =>
  z.strictObject({
    requestTimeout: goDuration
      .optional()
      .describe("Of older configurations; changes nothing, since requests are counted until they have ended"),
    idleThreshold: z.int().min(0).default(0).describe("Requests up to which a server counts as idle"),
    maxBusyScore: z.number().min(0).max(1).default(1).describe("The best score of a server that is not idle"),
  }),
);

class ActiveRequestScorer implements Scorer {
  readonly #idle: number;
  readonly #maxBusy: number;

  constructor({ idleThreshold, maxBusyScore }: z.infer<typeof parameters>) {
    this.#idle = idleThreshold;
    this.#maxBusy = maxBusyScore;
  }

  score({ endpoints, positions, count }: Candidates, _request: ScheduledRequest, scores: Float64Array): void {
    let max = 0;
    for (let i = 0; i < count; i++) {
      const requests = endpoints[positions[i] ?? 0]?.load.requests ?? 0;
      scores[i] = requests;
      if (requests > max) max = requests;
    }
    for (let i = 0; i < count; i++) {
      const requests = scores[i] ?? 0;
      scores[i] = requests <= this.#idle ? 1 : ((max - requests) / max) * this.#maxBusy;
    }
  }
}

/** `active-request-scorer`: idle: 1; else `(max − count) / max · maxBusyScore`. */
export const activeRequestScorer = definePlugin({
  type: "active-request-scorer",
  kinds: ["scorer"],
  summary: "Prefers servers with fewer requests under way, as this gateway counts them; needs no metrics",
  parameters,
  create: (options): Scorer => new ActiveRequestScorer(options),
});
