/** What the built-in producers work out of a request for filters and scorers. */
import type { DataKey } from "./plugin.ts";
import type { PrefixMatch } from "./scheduling.ts";

/** How much of the prompt each endpoint has in its cache. */
export const prefixMatchKey: DataKey<PrefixMatch> = {
  name: "prefix-match",
  defaultProducer: "approx-prefix-cache-producer",
};

/** Size of the request in tokens. */
export interface TokenCount {
  readonly promptTokens: number;
}

/** How large the prompt is. */
export const tokenCountKey: DataKey<TokenCount> = { name: "token-count", defaultProducer: "token-producer" };

/** Tokens that servers have to compute, by position. Valid until the next request is scheduled. */
export interface InflightTokens {
  /** Of the requests under way at each endpoint. */
  readonly underWay: Float64Array;
  /** Of this request's prompt: those that the endpoint does not have in its cache. */
  readonly own: Float64Array;
  /** Completion tokens expected of this request. */
  readonly outputTokens: number;
}

/** The work that is on its way, and the work that the request adds. Leases add up what it says of the endpoint chosen. */
export const inflightTokensKey: DataKey<InflightTokens> = {
  name: "inflight-tokens",
  defaultProducer: "inflight-load-producer",
};

/** The session that the request belongs to; undefined where it names none. */
export const sessionIdKey: DataKey<string | undefined> = {
  name: "session-id",
  defaultProducer: "session-id-producer",
};
