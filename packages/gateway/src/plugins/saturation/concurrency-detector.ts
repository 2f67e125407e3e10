/** How full servers are by what this gateway has under way there: needs no metrics, and is never stale. */
import * as z from "zod";
import type { SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import type { Clock } from "../../core/clock.ts";
import { definePlugin } from "../define-plugin.ts";
import { WeightedSaturation } from "./weighted-saturation.ts";

const parameters = z.lazy(() =>
  z.strictObject({
    /** Requests that a server computes well at once; its own capacity where that is smaller. */
    maxConcurrency: z.number().int().min(1).max(1_000_000).default(100),
    /** Prompt tokens to be computed and completion tokens expected, of all requests under way at a server. */
    maxTokenConcurrency: z.number().int().min(1).default(1_000_000),
    concurrencyMode: z.enum(["requests", "tokens", "hybrid"]).default("requests"),
    headroom: z.number().min(0).max(10).default(0),
    /** Accepted and not needed: load is counted by leases. */
    inFlightLoadProducerName: z.string().optional(),
  }),
);

class Concurrency extends WeightedSaturation {
  readonly #options: z.output<typeof parameters>;

  constructor(options: z.output<typeof parameters>, clock: Clock) {
    super(clock, options.headroom);
    this.#options = options;
  }

  endpointSaturation({ load, capacity }: SchedulableEndpoint): number {
    const { maxConcurrency, maxTokenConcurrency, concurrencyMode } = this.#options;
    const byTokens = (load.promptTokens + load.outputTokens) / maxTokenConcurrency;
    if (concurrencyMode === "tokens") return Math.max(byTokens, load.requests / capacity);
    const byRequests = load.requests / Math.min(maxConcurrency, capacity);
    return concurrencyMode === "hybrid" ? Math.max(byRequests, byTokens) : byRequests;
  }

  protected override weightOf({ capacity }: SchedulableEndpoint): number {
    const { concurrencyMode, maxConcurrency } = this.#options;
    return concurrencyMode === "tokens" ? 1 : Math.min(maxConcurrency, capacity);
  }
}

/** `concurrency-detector` */
export const concurrencyDetector = definePlugin({
  type: "concurrency-detector",
  kinds: ["saturation", "filter"],
  summary: "How full servers are by the requests, or tokens, that this gateway has under way at them.",
  parameters,
  create: (options, { clock }) => new Concurrency(options, clock),
});
