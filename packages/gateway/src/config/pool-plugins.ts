/** What a pool of `spillway.yaml` says of scheduling, flow control and metrics, as the engines take it. */
import type { DataSpec, MetricMapping, MetricsSourceSpec } from "../contracts/plugins/data.ts";
import type { BandSpec, FlowSpec } from "../contracts/plugins/flow.ts";
import type { PluginKind, PluginSpec } from "../contracts/plugins/plugin.ts";
import type { ProfileSpec, SchedulingSpec } from "../contracts/plugins/scheduling.ts";
import { PluginList } from "./endpoint-picker/plugin-list.ts";
import { parseMetricSpec } from "../plugins/extractors/parse-metric-spec.ts";
import type { PluginRegistry } from "../plugins/plugin-registry.ts";
import {
  knownEngines,
  type DefaultedMetrics,
  type DefaultedPoolFlow,
  type DefaultedScheduling,
  type PluginUse,
  type ProfileUse,
} from "./plugin-schema.ts";
import type { Problem } from "./source.ts";
import { parseDuration, parseSize } from "./units.ts";

type Path = readonly PropertyKey[];

/** The keys of a pool that are about plugins, with their defaults. */
export interface PoolPluginKeys {
  readonly scheduling?: DefaultedScheduling | undefined;
  readonly flow?: DefaultedPoolFlow | undefined;
  readonly metrics?: DefaultedMetrics | undefined;
  readonly discovery?: PluginUse | undefined;
}

/** What they come to. */
export interface PoolPlugins {
  readonly scheduling?: SchedulingSpec;
  readonly flow?: FlowSpec;
  readonly data?: DataSpec;
}

/** What a pool's keys are read with. */
export interface PoolPluginContext {
  readonly path: Path;
  readonly registry: PluginRegistry;
  /** Makes a path of the file absolute. */
  readonly resolvePath: (path: string) => string;
  /** Is told what is wrong. */
  readonly problems: Problem[];
  /** Is told what is valid and probably not meant. */
  readonly warnings: Problem[];
}

/** Reads a pool's keys. What is wrong goes to `problems`, and the value is not to be used then. */
export function compilePoolPlugins(
  { scheduling, flow, metrics, discovery }: PoolPluginKeys,
  context: PoolPluginContext,
): PoolPlugins {
  const { path } = context;
  const found =
    discovery === undefined ? undefined : compileDiscovery(discovery, [...path, "discovery"], context);
  const hasData = metrics !== undefined || found !== undefined;
  return {
    ...(scheduling && { scheduling: compileScheduling(scheduling, [...path, "scheduling"], context) }),
    ...(flow && { flow: compileFlow(flow, [...path, "flow"], context) }),
    ...(hasData && {
      data: { ...compileMetrics(metrics ?? false, [...path, "metrics"], context), discovery: found },
    }),
  };
}

/** The plugins of one key of a pool, as they are named in it. */
class InlinePlugins {
  readonly #list: PluginList;
  readonly #context: PoolPluginContext;

  constructor(context: PoolPluginContext) {
    this.#context = context;
    this.#list = new PluginList(context.registry);
  }

  /** Takes a plugin where it stands. The same name again is the same plugin. Gives back its name. */
  use(plugin: PluginUse, path: Path, kind: PluginKind): string {
    const { type: word, name, parameters } = typeof plugin === "string" ? { type: plugin } : withName(plugin);
    const type = this.#list.typeFor(word, kind);
    const called = name ?? type;
    const known = this.#list.find(called);
    if (known !== undefined && (parameters !== undefined || known.spec.type !== type)) {
      const message = `there is a plugin "${called}" already; give this one a name of its own`;
      this.#context.problems.push({ path, message });
    }
    const typePath = typeof plugin === "string" ? path : [...path, "type"];
    if (!this.#list.has(called)) {
      this.#list.add({ name: called, type, parameters: parameters ?? {}, path, slot: { typePath, kind } });
    }
    this.#list.resolve(called, { path, kinds: [kind] });
    return called;
  }

  /** The plugins, and what was wrong to the context. */
  finish(): PluginSpec[] {
    this.#context.problems.push(...this.#list.problems);
    this.#context.warnings.push(...this.#list.warnings);
    return this.#list.entries.map(({ spec }) => spec);
  }
}

function withName(plugin: Exclude<PluginUse, string>): {
  readonly type: string;
  readonly name?: string | undefined;
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
} {
  return plugin;
}

const singleHandler = "single-profile-handler";

function compileScheduling(
  { profiles, handler, producers, shadows }: DefaultedScheduling,
  path: Path,
  context: PoolPluginContext,
): SchedulingSpec {
  const plugins = new InlinePlugins(context);
  const read = (all: Readonly<Record<string, ProfileUse>>, key: string): ProfileSpec[] =>
    Object.entries(all).map(([name, profile]) =>
      compileProfile(name, profile, { plugins, path: [...path, key, name] }),
    );
  for (const [index, each] of producers.entries())
    plugins.use(each, [...path, "producers", index], "producer");
  const [first, ...others] = read(profiles, "profiles");
  if (first === undefined) throw new Error("the schema lets no mapping without a profile through");
  if (handler === undefined && others.length > 0) {
    const message = `missing: expected the handler that says which of ${Object.keys(profiles).join(", ")} run`;
    context.problems.push({ path: [...path, "handler"], at: "key", message });
  }
  const chosen = plugins.use(handler ?? singleHandler, [...path, "handler"], "profile-handler");
  return {
    profiles: [first, ...others],
    shadows: read(shadows, "shadows"),
    handler: chosen,
    plugins: plugins.finish(),
  };
}

function compileProfile(
  name: string,
  { filters, scorers, picker }: ProfileUse,
  { plugins, path }: { readonly plugins: InlinePlugins; readonly path: Path },
): ProfileSpec {
  return {
    name,
    filters: filters.map((each, index) => plugins.use(each, [...path, "filters", index], "filter")),
    scorers: scorers.map((each, index) => ({
      plugin: plugins.use(each, [...path, "scorers", index], "scorer"),
      weight: typeof each === "string" ? 1 : each.weight,
    })),
    picker: plugins.use(picker, [...path, "picker"], "picker"),
  };
}

/** As the router has it. */
const usualBand = { maxRequests: 5_000, maxBytes: 1e9, maxTokens: Infinity };

type BandUse = DefaultedPoolFlow["others"];

function compileFlow(flow: DefaultedPoolFlow, path: Path, context: PoolPluginContext): FlowSpec {
  const plugins = new InlinePlugins(context);
  const usual = {
    fairness: plugins.use(flow.fairness, [...path, "fairness"], "fairness"),
    ordering: plugins.use(flow.ordering, [...path, "ordering"], "ordering"),
  };
  const band = (use: BandUse, at: Path): BandSpec => ({
    maxRequests: use.maxRequests ?? usualBand.maxRequests,
    maxBytes: bytes(use.maxBytes) ?? usualBand.maxBytes,
    maxTokens: use.maxTokens ?? usualBand.maxTokens,
    fairness:
      use.fairness === undefined
        ? usual.fairness
        : plugins.use(use.fairness, [...at, "fairness"], "fairness"),
    ordering:
      use.ordering === undefined
        ? usual.ordering
        : plugins.use(use.ordering, [...at, "ordering"], "ordering"),
    ttlMs: use.ttl === undefined ? undefined : ms(use.ttl),
  });
  findSamePriorities(flow, path, context);
  const others = band(flow.others, [...path, "others"]);
  const defaultTtlMs = ms(flow.ttl);
  return {
    maxRequests: flow.maxRequests ?? Infinity,
    maxBytes: bytes(flow.maxBytes) ?? Infinity,
    maxTokens: flow.maxTokens ?? Infinity,
    defaultTtlMs,
    noEndpointTtlMs: flow.noEndpointTtl === undefined ? defaultTtlMs : ms(flow.noEndpointTtl),
    bands: flow.priorities.map((each, index) => ({
      priority: each.priority,
      ...band(each, [...path, "priorities", index]),
    })),
    defaultBand: others,
    defaultNegativeBand: flow.sheddable === undefined ? others : band(flow.sheddable, [...path, "sheddable"]),
    saturation: plugins.use(flow.saturation, [...path, "saturation"], "saturation"),
    usageLimit: plugins.use(flow.usageLimit, [...path, "usageLimit"], "usage-limit"),
    eviction:
      flow.eviction === false ? undefined : plugins.use(flow.eviction, [...path, "eviction"], "eviction"),
    mode: "wait",
    plugins: plugins.finish(),
  };
}

function findSamePriorities(
  { priorities }: DefaultedPoolFlow,
  path: Path,
  { problems }: PoolPluginContext,
): void {
  const seen = new Set<number>();
  for (const [index, { priority }] of priorities.entries()) {
    if (seen.has(priority)) {
      const at = [...path, "priorities", index, "priority"];
      problems.push({ path: at, message: `priority ${priority} is there already` });
    }
    seen.add(priority);
  }
}

const engineLabel = "llm-d.ai/engine-type";

/** As the schema fills in. */
const usualMetrics = {
  scheme: undefined,
  path: "/metrics",
  port: undefined,
  intervalMs: 100,
  insecureSkipVerify: false,
  ca: undefined,
  staleAfterMs: 2_000,
} as const satisfies MetricsSourceSpec;

function compileMetrics(metrics: DefaultedMetrics, path: Path, context: PoolPluginContext): DataSpec {
  const plain = { engineLabel, engines: [], extractors: [], discovery: undefined };
  if (metrics === false) return { ...plain, defaultEngine: "vllm", metrics: undefined };
  if (typeof metrics === "string") {
    requireEngine(metrics, { path, own: [], context });
    return { ...plain, defaultEngine: metrics, metrics: usualMetrics };
  }
  const { engine, engines } = metrics;
  const extractors = new InlinePlugins(context);
  for (const [index, each] of metrics.extractors.entries())
    extractors.use(each, [...path, "extractors", index], "extractor");
  requireEngine(engine, { path: [...path, "engine"], own: Object.keys(engines), context });
  return {
    discovery: undefined,
    extractors: extractors.finish(),
    engineLabel: metrics.engineLabel,
    defaultEngine: engine,
    engines: Object.entries(engines).map(([name, series]) => ({
      engine: name,
      metrics: mappingsOf(series, [...path, "engines", name], context),
    })),
    metrics: {
      scheme: metrics.scheme,
      path: metrics.path,
      port: metrics.port,
      intervalMs: ms(metrics.interval),
      insecureSkipVerify: metrics.insecureSkipVerify,
      ca: metrics.ca === undefined ? undefined : context.resolvePath(metrics.ca),
      staleAfterMs: ms(metrics.staleAfter),
    },
  };
}

function compileDiscovery(use: PluginUse, path: Path, context: PoolPluginContext): PluginSpec | undefined {
  const plugins = new InlinePlugins(context);
  plugins.use(use, path, "discovery");
  return plugins.finish()[0];
}

type EngineSeries = Exclude<DefaultedMetrics, string | false>["engines"][string];

function mappingsOf(
  { custom, ...series }: EngineSeries,
  path: Path,
  { problems }: PoolPluginContext,
): MetricMapping[] {
  const mappings: MetricMapping[] = [];
  const read = (signal: MetricMapping["signal"], text: string | undefined, at: Path): void => {
    if (text === undefined) return;
    const spec = parseMetricSpec(text);
    if (spec !== undefined) mappings.push({ signal, ...spec });
    else problems.push({ path: at, message: `expected name or name{label=value}, got "${text}"` });
  };
  for (const signal of ["waiting", "running", "kvUsage"] as const) {
    read(signal, series[signal], [...path, signal]);
  }
  for (const [key, text] of Object.entries(custom)) read(`custom:${key}`, text, [...path, "custom", key]);
  return mappings;
}

function requireEngine(
  engine: string,
  {
    path,
    own,
    context,
  }: { readonly path: Path; readonly own: readonly string[]; readonly context: PoolPluginContext },
): void {
  const known: readonly string[] = [...knownEngines, ...own];
  if (known.includes(engine)) return;
  context.problems.push({ path, message: `expected one of ${known.join(", ")}, got "${engine}"` });
}

function ms(text: string): number {
  const value = parseDuration(text) ?? 0;
  return value === 0 ? Infinity : value;
}

function bytes(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseSize(text);
}
