/** The data layer, as the configuration says it: where endpoints and their metrics come from. */
import type { PluginSpec } from "./plugin.ts";
import type { SchedulableEndpoint } from "./scheduling.ts";

/** Quantities of `ServerSignals` that a mapping can fill. */
const mappedSignals = [
  "waiting",
  "running",
  "kvUsage",
  "blockTokens",
  "blocks",
  "maxAdapters",
  "runningAdapters",
  "waitingAdapters",
] as const;

/** One of `mappedSignals`. */
export type MappedSignal = (typeof mappedSignals)[number];

/** Where one quantity stands on a server's page of metrics: `name{label=value,…}` of a series, or a label's value. */
export interface MetricMapping {
  /**
   * Name of the quantity in `ServerSignals`, or `custom:KEY`. Several mappings of one quantity are names that it has
   * had: the first that the page has counts.
   */
  readonly signal: MappedSignal | `custom:${string}`;
  readonly metric: string;
  /** Only series with these labels, among others. */
  readonly labels: Readonly<Record<string, string>>;
  /** The quantity is this label's value, not the series'. */
  readonly valueLabel?: string;
  /**
   * What several series come to: engines or ranks behind one address. Default: `sum` of numbers of requests and of
   * blocks, `average` of `kvUsage` and of what is custom, `newest` (the series with the largest value, which is a
   * time) of adapters, `last` of the others.
   */
  readonly combine?: "sum" | "average" | "max" | "newest" | "last";
}

/** What a make of servers calls its quantities. */
export interface EngineMapping {
  /** `vllm`, `sglang`, `triton-tensorrt-llm`, `trtllm-serve`, `triton`, or a name of the configuration's own. */
  readonly engine: string;
  readonly metrics: readonly MetricMapping[];
}

/** How servers' metrics are read. */
export interface MetricsSourceSpec {
  /** Undefined: the endpoint's own. */
  readonly scheme: "http" | "https" | undefined;
  /** Default `/metrics`. */
  readonly path: string;
  /** Undefined: the endpoint's own port. */
  readonly port: number | undefined;
  /** 50 to 200 is usual; at least 50. */
  readonly intervalMs: number;
  readonly insecureSkipVerify: boolean;
  /** PEM file of the certificate authority. */
  readonly ca: string | undefined;
  /** PEM files of the certificate that the gateway shows, and of its key. */
  readonly clientCert?: string | undefined;
  readonly clientKey?: string | undefined;
  /** Signals that are older say nothing. */
  readonly staleAfterMs: number;
}

/** What is read off pages of metrics: the part of a `DataSpec` that an extractor's parameters say. */
export interface ExtractorSpec {
  /** Label of an endpoint that names its engine. */
  readonly engineLabel: string;
  readonly defaultEngine: string;
  /** Over and beside those that are built in. */
  readonly engines: readonly EngineMapping[];
}

/** A whole data layer. */
export interface DataSpec extends ExtractorSpec {
  /** Undefined: metrics are not read. */
  readonly metrics: MetricsSourceSpec | undefined;
  /** Where endpoints come from; undefined: the pool's own list. */
  readonly discovery: PluginSpec | undefined;
  /** Further readers of the pages: plugins that are a `PageExtractor`. Default: none. */
  readonly extractors?: readonly PluginSpec[] | undefined;
}

/** Reads of a server's page of metrics what no mapping can say: what a plugin of kind `extractor` is. */
export interface PageExtractor {
  /**
   * `page`: the page's bytes behind a line feed, whose memory is used again after the call. `tell` sets a quantity of
   * `signals.custom`, which gets stale like all others; what is no finite number is left out. Called for every page: ten
   * times a second for each server. One that throws is counted, and the page's other readers go on.
   */
  extract(page: Buffer, endpoint: SchedulableEndpoint, tell: (name: string, value: number) => void): void;
}

/** A server that a discovery has found. */
export interface DiscoveredEndpoint {
  /** Unique together with `namespace` and `port`. */
  readonly name: string;
  readonly namespace: string;
  /** IPv4 or IPv6 address, without brackets. */
  readonly address: string;
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** Who hears of endpoints. */
export interface DiscoveryListener {
  /** All endpoints there are now, each time that one has come, gone or changed, and when what failed is over. */
  found(endpoints: readonly DiscoveredEndpoint[]): void;
  /** Why nothing new could be learnt; what was found before stays. Told once for each reason. */
  failed(reason: string): void;
}

/** Finds a pool's endpoints, and tells when they change: what a plugin of kind `discovery` is. */
export interface EndpointDiscovery {
  /** Begins. Resolves once it has looked for the first time, however that went; never rejects. */
  start(listener: DiscoveryListener): Promise<void>;
  /** The listener is not called again. Idempotent. */
  close(): void;
}
