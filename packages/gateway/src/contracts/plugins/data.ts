/** The data layer, as the configuration says it: where endpoints and their metrics come from. */
import type { PluginSpec } from "./plugin.ts";

/** Where one quantity stands on a server's page of metrics: `name{label=value,…}` of a series, or a label's value. */
export interface MetricMapping {
  /** Name of the quantity in `ServerSignals`, or `custom:KEY`. */
  readonly signal: string;
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The quantity is this label's value, not the series'. */
  readonly valueLabel?: string;
}

/** What a make of servers calls its quantities. */
export interface EngineMapping {
  /** `vllm`, `sglang`, `triton-tensorrt-llm`, `trtllm-serve`, or a name of the configuration's own. */
  readonly engine: string;
  readonly metrics: readonly MetricMapping[];
}

/** How servers' metrics are read. */
export interface MetricsSourceSpec {
  readonly scheme: "http" | "https";
  /** Default `/metrics`. */
  readonly path: string;
  /** Undefined: the endpoint's own port. */
  readonly port: number | undefined;
  /** 50 to 200 is usual; at least 50. */
  readonly intervalMs: number;
  readonly insecureSkipVerify: boolean;
  readonly ca: string | undefined;
  /** Signals that are older say nothing. */
  readonly staleAfterMs: number;
}

/** A whole data layer. */
export interface DataSpec {
  /** Undefined: metrics are not read. */
  readonly metrics: MetricsSourceSpec | undefined;
  /** Label of an endpoint that names its engine. */
  readonly engineLabel: string;
  readonly defaultEngine: string;
  /** Over and beside those that are built in. */
  readonly engines: readonly EngineMapping[];
  /** Where endpoints come from; undefined: the pool's own list. */
  readonly discovery: PluginSpec | undefined;
}
