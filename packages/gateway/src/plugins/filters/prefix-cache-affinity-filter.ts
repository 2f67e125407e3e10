/** Sticks to servers that have the prompt in their cache, as long as the wait there is not too much longer. */
import { z } from "zod";
import { inflightTokensKey, prefixMatchKey, type InflightTokens } from "../../contracts/plugins/data-keys.ts";
import type {
  Candidates,
  Filter,
  PrefixMatch,
  ScheduledRequest,
} from "../../contracts/plugins/scheduling.ts";
import { GatewayError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { definePlugin } from "../define-plugin.ts";
import { dataAt } from "../request-data.ts";

const parameters = z.lazy(() =>
  z.strictObject({
    affinityThreshold: z
      .number()
      .min(0)
      .max(1)
      .default(0.8)
      .describe("Share of the prompt from which an endpoint counts as one that has it"),
    explorationProbability: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe("Share of requests that may go anywhere"),
    maxTTFTPenaltyMs: z
      .number()
      .min(0)
      .default(18_000)
      .describe("How much longer the first token may take at the quickest endpoint that has the prompt, ms"),
    ttftSource: z
      .enum(["prefillThroughput", "latencyPredictor"])
      .default("prefillThroughput")
      .describe(
        "How the time to the first token is guessed: prompt tokens under way by `peakPrefillThroughput`",
      ),
    peakPrefillThroughput: z
      .number()
      .positive()
      .default(15_928)
      .describe("Prompt tokens that a server computes in a second"),
    prefixMatchInfoProducerName: z
      .string()
      .optional()
      .describe("Name of the producer, where there are several"),
    inFlightLoadProducerName: z.string().optional().describe("Name of the producer, where there are several"),
  }),
);

type Parameters = z.infer<typeof parameters>;

class PrefixCacheAffinityFilter implements Filter {
  readonly #options: Parameters;
  readonly #random: Random;
  readonly #prefixAt: number;
  readonly #inflightAt: number;

  constructor(options: Parameters, random: Random, prefixAt: number, inflightAt: number) {
    this.#options = options;
    this.#random = random;
    this.#prefixAt = prefixAt;
    this.#inflightAt = inflightAt;
  }

  filter(candidates: Candidates, request: ScheduledRequest): void {
    const match = dataAt<PrefixMatch>(request, this.#prefixAt);
    const { affinityThreshold, explorationProbability } = this.#options;
    if (match === undefined || match.total === 0) return;
    const enough = affinityThreshold * match.total;
    if (match.longest < enough) return;
    if (explorationProbability > 0 && this.#random.unit() < explorationProbability) return;
    const inflight = dataAt<InflightTokens>(request, this.#inflightAt);
    if (this.#isTooSlow(candidates, match.matched, enough, inflight)) return;
    const { positions, count } = candidates;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const position = positions[i] ?? 0;
      if ((match.matched[position] ?? 0) >= enough) positions[kept++] = position;
    }
    if (kept > 0) candidates.keep(kept);
  }

  /** Whether the quickest endpoint with the prompt is that much slower than the quickest without it. */
  #isTooSlow(
    { positions, count }: Candidates,
    matched: Int32Array,
    enough: number,
    inflight: InflightTokens | undefined,
  ): boolean {
    if (inflight === undefined) return false;
    let sticky = Infinity;
    let other = Infinity;
    for (let i = 0; i < count; i++) {
      const position = positions[i] ?? 0;
      const tokens = inflight.underWay[position] ?? 0;
      if ((matched[position] ?? 0) >= enough) sticky = Math.min(sticky, tokens);
      else other = Math.min(other, tokens);
    }
    const { peakPrefillThroughput, maxTTFTPenaltyMs } = this.#options;
    return ((sticky - other) / peakPrefillThroughput) * 1_000 > maxTTFTPenaltyMs;
  }
}

/** `prefix-cache-affinity-filter`. */
export const prefixCacheAffinityFilter = definePlugin({
  type: "prefix-cache-affinity-filter",
  kinds: ["filter"],
  summary:
    "Leaves the endpoints that have most of the prompt in their cache, unless the first token would take much longer there",
  parameters,
  needs: { reads: [prefixMatchKey, inflightTokensKey] },
  create(options, host): Filter {
    if (options.ttftSource === "latencyPredictor") {
      const text = `Plugin ${host.name}: parameter ttftSource: latencyPredictor needs a predictor of latencies, and there is none`;
      throw new GatewayError("bad_request", text);
    }
    const prefixAt = host.dataIndex(prefixMatchKey, options.prefixMatchInfoProducerName);
    const inflightAt = host.dataIndex(inflightTokensKey, options.inFlightLoadProducerName);
    return new PrefixCacheAffinityFilter(options, host.random, prefixAt, inflightAt);
  },
});
