/** Work under way at each server, and the work that a request would add there. */
import { z } from "zod";
import {
  inflightTokensKey,
  prefixMatchKey,
  tokenCountKey,
  type InflightTokens,
  type TokenCount,
} from "../../contracts/plugins/data-keys.ts";
import type {
  PrefixMatch,
  Producer,
  SchedulableEndpoint,
  ScheduledRequest,
} from "../../contracts/plugins/scheduling.ts";
import { definePlugin } from "../define-plugin.ts";
import { dataAt } from "../request-data.ts";

const parameters = z.lazy(() =>
  z.strictObject({
    addEstimatedOutputTokens: z
      .boolean()
      .default(false)
      .describe("Whether tokens under way are also those expected of answers"),
    outputRatio: z
      .number()
      .min(0)
      .default(1.5)
      .describe("Tokens expected of an answer for each of its prompt; what the caller allows is the most"),
    maxEstimatedOutputTokens: z.int().min(0).optional().describe("The most tokens expected of an answer"),
    prefixMatchInfoProducerName: z
      .string()
      .optional()
      .describe("Name of the producer, where there are several"),
  }),
);

/** Both arrays belong to the producer; the number to the request. */
class Inflight implements InflightTokens {
  underWay: Float64Array;
  own: Float64Array;
  outputTokens = 0;

  constructor(underWay: Float64Array, own: Float64Array) {
    this.underWay = underWay;
    this.own = own;
  }
}

class InflightLoadProducer implements Producer {
  readonly #options: z.infer<typeof parameters>;
  readonly #index: number;
  readonly #prefixAt: number;
  readonly #tokensAt: number;
  #underWay = new Float64Array(16);
  #own = new Float64Array(16);

  constructor(options: z.infer<typeof parameters>, index: number, prefixAt: number, tokensAt: number) {
    this.#options = options;
    this.#index = index;
    this.#prefixAt = prefixAt;
    this.#tokensAt = tokensAt;
  }

  produce(request: ScheduledRequest, endpoints: readonly SchedulableEndpoint[]): void {
    const { length } = endpoints;
    if (this.#own.length < length) {
      this.#underWay = new Float64Array(2 * length);
      this.#own = new Float64Array(2 * length);
    }
    const promptTokens = dataAt<TokenCount>(request, this.#tokensAt)?.promptTokens ?? request.promptTokens;
    this.#write(endpoints, promptTokens, dataAt<PrefixMatch>(request, this.#prefixAt));
    const known = dataAt<Inflight>(request, this.#index);
    const value = known ?? new Inflight(this.#underWay, this.#own);
    value.underWay = this.#underWay;
    value.own = this.#own;
    value.outputTokens = this.#outputOf(request, promptTokens);
    request.data[this.#index] = value;
  }

  #write(
    endpoints: readonly SchedulableEndpoint[],
    promptTokens: number,
    match: PrefixMatch | undefined,
  ): void {
    const underWay = this.#underWay;
    const own = this.#own;
    const withOutput = this.#options.addEstimatedOutputTokens;
    const perBlock = match === undefined || match.longest === 0 ? 0 : promptTokens / match.total;
    for (let i = 0; i < endpoints.length; i++) {
      const load = endpoints[i]?.load;
      if (load === undefined) continue;
      underWay[i] = withOutput ? load.promptTokens + load.outputTokens : load.promptTokens;
      // Whole tokens: leases add them up and take them off again.
      own[i] = perBlock === 0 ? promptTokens : Math.round(promptTokens - perBlock * (match?.matched[i] ?? 0));
    }
  }

  #outputOf({ maxOutputTokens = Infinity }: ScheduledRequest, promptTokens: number): number {
    const { outputRatio, maxEstimatedOutputTokens = Infinity } = this.#options;
    return Math.min(Math.round(promptTokens * outputRatio), maxOutputTokens, maxEstimatedOutputTokens);
  }
}

/** `inflight-load-producer`. */
export const inflightLoadProducer = definePlugin({
  type: "inflight-load-producer",
  kinds: ["producer"],
  summary:
    "Tells the prompt tokens that each server has still to compute, and those that the request would add there",
  parameters,
  needs: { reads: [prefixMatchKey, tokenCountKey], produces: [inflightTokensKey] },
  create(options, host): Producer {
    return new InflightLoadProducer(
      options,
      host.dataIndex(inflightTokensKey),
      host.dataIndex(prefixMatchKey, options.prefixMatchInfoProducerName),
      host.dataIndex(tokenCountKey),
    );
  },
});
