/** From what people write to what engines are told: durations in milliseconds, sizes in bytes, paths absolute. */
import { resolve } from "node:path";
import type {
  AccessOptions,
  DoorOptions,
  ExtProcOptions,
  FlowOptions,
  GrpcPoolOptions,
  HttpPoolOptions,
  KeyOptions,
  LlamaOptions,
  MonitoringOptions,
  PoolOptions,
  PredictOptions,
  RepositoryOptions,
  RouteOptions,
  RouteTarget,
  TraitsOptions,
  WorkerOptions,
} from "../contracts/options.ts";
import type { RuleSpec } from "../contracts/plugins/rule.ts";
import type { ModelEscalationRule } from "../contracts/escalation.ts";
import type { EdgeOptions } from "../contracts/edge-options.ts";
import type { PluginDefinition } from "../contracts/plugins/plugin.ts";
import type { LogLevel } from "../contracts/telemetry.ts";
import { filesOfPool } from "./files-of-pool.ts";
import { Secret } from "../core/secret.ts";
import { compileEdge } from "./compile-edge.ts";
import { compileExtProc } from "./extproc-schema.ts";
import { compileEscalate, compileModelEscalation } from "./escalate-schema.ts";
import {
  httpPoolSchema,
  isHttpDefaulted,
  type DefaultedHttpPool,
  type DefaultedPool,
} from "./pool-schema.ts";
import { compileRequests, compileRule } from "./rules-schema.ts";
import type { DefaultedConfig, DefaultedKey } from "./schema.ts";
import type { PoolPlugins } from "./pool-plugins.ts";
import { parseDuration, parseSize } from "./units.ts";

/** What is logged. */
export interface LogOptions {
  /** Undefined: what suits the format. */
  readonly level: LogLevel | undefined;
  readonly format: "auto" | "json" | "pretty";
}

/** A configuration as the gateway takes it. */
export interface CompiledConfig {
  /** HTTP listeners; all serve the same. */
  readonly http: readonly DoorOptions[];
  /** Undefined: no gRPC. */
  readonly grpc: DoorOptions | undefined;
  /** Absent: Envoy is not answered. */
  readonly extProc?: ExtProcOptions | undefined;
  readonly access: AccessOptions;
  readonly flow: FlowOptions;
  readonly workers: WorkerOptions;
  /** Undefined: no models of its own. */
  readonly repository: RepositoryOptions | undefined;
  /** In the order of the file. */
  readonly pools: readonly PoolOptions[];
  readonly routes: readonly RouteOptions[];
  readonly traits: TraitsOptions;
  /** In the order in which requests pass them. */
  readonly rules: readonly RuleSpec[];
  /** Models that take tensors, each at most once. */
  readonly escalate: readonly ModelEscalationRule[];
  /** Servers are looked for at the usual ports of this machine. */
  readonly discovery: boolean;
  /** Undefined: GGUF files are not served. */
  readonly llama: LlamaOptions | undefined;
  /** Undefined: no edge endpoint. */
  readonly edge: EdgeOptions | undefined;
  readonly predict: PredictOptions;
  readonly monitoring: MonitoringOptions;
  /** Plugins of the configuration's own files, beside those that are built in. */
  readonly plugins: readonly PluginDefinition[];
  /** Those files, absolute; absent: none. */
  readonly pluginFiles?: readonly string[];
  /** Other files that were read with it or that its pools read when they are made, absolute; absent: none. */
  readonly namedFiles?: readonly string[];
  /** What is valid and probably not meant, or has another name today: one sentence each, with its place. */
  readonly notes: readonly string[];
  readonly log: LogOptions;
}

/** What a configuration and the files that it names say of plugins, ready for the engines. */
export interface CompiledPlugins {
  /** By the name of the pool. */
  readonly pools: ReadonlyMap<string, PoolPlugins>;
  readonly definitions: readonly PluginDefinition[];
  readonly notes: readonly string[];
}

/** Of a configuration that says nothing of them. */
export const withoutPlugins: CompiledPlugins = { pools: new Map(), definitions: [], notes: [] };

/** What the texts of a configuration refer to. */
export interface Surroundings {
  /** Folder that relative paths start from. */
  readonly directory: string;
  /** The folder of models when the configuration names none. */
  readonly repository: string;
  readonly plugins: CompiledPlugins;
}

/** Compiles a valid configuration. Pure. */
export function compileConfig(config: DefaultedConfig, surroundings: Surroundings): CompiledConfig {
  const { directory, plugins } = surroundings;
  const door = ({ port, host, tls, edge, optional }: Listener): DoorOptions => ({
    port,
    host,
    tls: tls && {
      cert: resolve(surroundings.directory, tls.cert),
      key: resolve(surroundings.directory, tls.key),
    },
    ...boundsOf(config.limits),
    receiveTimeoutMs: ms(config.limits.receiveTimeout),
    ...(edge === true && { edge }),
    ...(optional === true && { optional }),
  });
  const pools = Object.entries(config.pools).map(([name, pool]) => compilePool(name, pool, surroundings));
  const namedFiles = [...pickerFiles(config, directory), ...pools.flatMap(filesOfPool)];
  return {
    http: (config.listen ?? usualListeners(config)).map(door),
    grpc: config.grpc === false ? undefined : door(config.grpc),
    extProc: config.extProc ? compileExtProc(config.extProc, boundsOf(config.limits), directory) : undefined,
    access: compileAccess(config, surroundings),
    flow: { maxQueue: config.flow.maxQueue, requestTimeoutMs: ms(config.flow.requestTimeout) },
    workers: compileWorkers(config.workers),
    repository: config.models === false ? undefined : compileRepository(config.models, surroundings),
    pools,
    routes: config.routes.map(compileRoute),
    traits: compileRequests(config.requests),
    rules: config.rules.map(compileRule),
    escalate: config.escalate.map(compileModelEscalation),
    discovery: config.discovery ?? Object.keys(config.pools).length === 0,
    llama: compileLlama(config, surroundings),
    edge: compileEdge(config.edge, { ms, bytes, secret: secretIn(directory), directory }),
    predict: {
      featuresModel: config.predict.features === false ? undefined : config.predict.features,
      promptModel: config.predict.prompt === false ? undefined : config.predict.prompt,
    },
    monitoring: { grafana: config.monitoring.grafana, prometheus: config.monitoring.prometheus },
    plugins: plugins.definitions,
    ...(config.plugins.length > 0 && { pluginFiles: config.plugins.map((file) => resolve(directory, file)) }),
    ...(namedFiles.length > 0 && { namedFiles }),
    notes: plugins.notes,
    log: { level: config.log.level, format: config.log.format },
  } satisfies CompiledConfig;
}

function pickerFiles({ pools }: DefaultedConfig, directory: string): readonly string[] {
  return Object.values(pools).flatMap((pool) => {
    const file = isHttpDefaulted(pool) ? pool.pickerConfig : undefined;
    return file === undefined ? [] : [resolve(directory, file)];
  });
}

function boundsOf({ maxConnections, maxBody, maxTotalBody }: DefaultedConfig["limits"]) {
  return { maxConnections, maxBodyBytes: bytes(maxBody), maxTotalBodyBytes: bytes(maxTotalBody) };
}

/** What an address to listen on says. */
type Listener = Omit<NonNullable<DefaultedConfig["listen"]>[number], "edge"> &
  Pick<DoorOptions, "edge" | "optional">;

const loopback = "127.0.0.1";

/** Where nothing is said about listeners. Cameras have a port of their own, which something else may hold already. */
function usualListeners({ edge }: DefaultedConfig): readonly Listener[] {
  const front = { port: 30_080, host: loopback };
  if (edge === undefined || edge === false) return [front];
  return [front, { port: 30_101, host: loopback, edge: true, optional: true }];
}

/** Reads a secret: its words, or `file:` and a path. */
function secretIn(directory: string): (text: string) => Secret {
  return (text) =>
    text.startsWith("file:")
      ? Secret.inFile(resolve(directory, text.slice("file:".length)))
      : Secret.of(text);
}

function compileAccess({ auth, hosts, cors }: DefaultedConfig, { directory }: Surroundings): AccessOptions {
  const keyed = typeof auth === "object" ? auth : undefined;
  const file = keyed?.keysFile ?? false;
  return {
    mode: keyed === undefined ? (auth === "none" ? "none" : "loopback") : "keys",
    hosts: hosts.map((host) => host.toLowerCase().replace(/\.$/, "")),
    origins: cors.origins,
    keys: (keyed?.keys ?? []).map(compileKey),
    keysFile: file === false ? undefined : resolve(directory, file),
  } satisfies AccessOptions;
}

/** A key as the gateway takes it. */
export function compileKey(key: DefaultedKey): KeyOptions {
  const { requestsPerMinute, burst, tokensPerMinute, concurrency } = key.limits;
  return {
    id: key.id,
    secretSha256: key.secret.slice("sha256:".length),
    scopes: key.scopes,
    limits: { requestsPerMinute, burst, tokensPerMinute, concurrency },
    expiresAtMs: key.expires === undefined ? undefined : Date.parse(key.expires),
    models: key.models,
  } satisfies KeyOptions;
}

function compileWorkers(workers: DefaultedConfig["workers"]): WorkerOptions {
  return {
    memoryLimitBytes: bytes(workers.memoryLimit),
    startTimeoutMs: ms(workers.startTimeout),
    drainTimeoutMs: ms(workers.drainTimeout),
    backoffMs: { initial: ms(workers.backoff.initial), max: ms(workers.backoff.max) },
  } satisfies WorkerOptions;
}

/** GGUF files are served from the model repository, and from `models` where no repository is named. */
function compileLlama(
  { llama, models }: DefaultedConfig,
  { directory, repository }: Surroundings,
): LlamaOptions | undefined {
  if (llama === false || models === false) return undefined;
  const folders =
    models.repository === undefined
      ? [...new Set([repository, resolve(directory, "models")])]
      : [resolve(directory, models.repository)];
  return {
    folders,
    threads: llama.threads,
    sequences: llama.sequences,
    contextSize: llama.context,
    memoryBytes: llama.memory === undefined ? undefined : bytes(llama.memory),
    keepAliveMs: ms(llama.keepAlive),
  } satisfies LlamaOptions;
}

function compileRepository(
  models: Exclude<DefaultedConfig["models"], false>,
  { directory, repository }: Surroundings,
): RepositoryOptions {
  return {
    directory: models.repository === undefined ? repository : resolve(directory, models.repository),
    pollMs: ms(models.poll),
    // Without a prototype: a model may be called "constructor".
    instances: Object.assign(Object.create(null) as Record<string, number>, models.instances),
    control: models.control,
  } satisfies RepositoryOptions;
}

function compilePool(name: string, pool: DefaultedPool, surroundings: Surroundings): PoolOptions {
  return isHttpDefaulted(pool)
    ? compileHttpPool(name, pool, surroundings)
    : compileGrpcPool(name, pool, surroundings);
}

function compileGrpcPool(
  name: string,
  pool: Exclude<DefaultedPool, DefaultedHttpPool>,
  { directory }: Surroundings,
): GrpcPoolOptions {
  return {
    name,
    dialect: pool.dialect,
    endpoints: pool.endpoints,
    models: pool.models,
    maxBatch: pool.maxBatch,
    concurrency: pool.concurrency,
    timeoutMs: ms(pool.timeout),
    ca: pool.ca === undefined ? undefined : resolve(directory, pool.ca),
  } satisfies GrpcPoolOptions;
}

/** A pool of servers that nobody configured: everything else as by default. */
export function defaultHttpPool(
  name: string,
  dialect: HttpPoolOptions["dialect"],
  endpoints: readonly string[],
): HttpPoolOptions {
  const pool = httpPoolSchema.parse({ dialect, endpoints });
  return compileHttpPool(name, pool, { directory: "/", repository: "", plugins: withoutPlugins });
}

/**
 * Ollama works on few requests at once and keeps the others in a line of its own, which knows no priorities. Where metrics
 * tell how full servers are, a count only guards: at a server that has reached it no prompt finds the cache it has there.
 */
const usualConcurrency = { ollama: 16, metrics: 1_024, other: 256 };

function compileHttpPool(
  name: string,
  pool: DefaultedHttpPool,
  { directory, plugins }: Surroundings,
): HttpPoolOptions {
  const { timeouts, retries, hedging, health } = pool;
  const secret = secretIn(directory);
  const chosen = plugins.pools.get(name);
  const told = chosen?.data?.metrics === undefined ? usualConcurrency.other : usualConcurrency.metrics;
  return {
    name,
    dialect: pool.dialect,
    endpoints: pool.endpoints,
    endpointsFile: pool.endpointsFile === undefined ? undefined : resolve(directory, pool.endpointsFile),
    credentials: pool.credentials === undefined ? undefined : secret(pool.credentials),
    credentialsHeader: pool.credentialsHeader?.toLowerCase(),
    headers: Object.entries(pool.headers).map(
      ([header, text]) => [header.toLowerCase(), secret(text)] as const,
    ),
    ca: pool.ca === undefined ? undefined : resolve(directory, pool.ca),
    serverName: pool.serverName,
    models: pool.models,
    passthrough: pool.passthrough,
    serves: pool.serves,
    concurrency: pool.concurrency ?? (pool.dialect === "ollama" ? usualConcurrency.ollama : told),
    connectTimeoutMs: ms(timeouts.connect),
    timeouts: {
      firstTokenMs: ms(timeouts.firstToken),
      idleMs: ms(timeouts.idle),
      totalMs: ms(timeouts.total),
    },
    retry: {
      maxRetries: retries.max,
      backoffMs: ms(retries.backoff),
      hedging: hedging === false ? undefined : { maxShare: hedging.maxShare },
    },
    health: {
      intervalMs: ms(health.interval),
      timeoutMs: ms(health.timeout),
      failures: health.failures,
      backoffMs: { initial: ms(health.backoff.initial), max: ms(health.backoff.max) },
    },
    ...chosen,
  } satisfies HttpPoolOptions;
}

function compileRoute({ model, targets, escalate }: DefaultedConfig["routes"][number]): RouteOptions {
  const compile = (target: (typeof targets)[number]): RouteTarget => {
    return { pool: target.pool, model: target.model ?? model, weight: target.weight };
  };
  const [first, ...others] = targets;
  if (first === undefined) return unreachable(`targets of ${model}`);
  const route = { model, targets: [compile(first), ...others.map(compile)] } satisfies RouteOptions;
  return escalate === undefined ? route : { ...route, escalate: compileEscalate(escalate, model) };
}

function ms(duration: string): number {
  return parseDuration(duration) ?? unreachable(duration);
}

function bytes(size: string): number {
  return parseSize(size) ?? unreachable(size);
}

/** The schema lets only readable texts through. */
function unreachable(text: string): never {
  throw new Error(`"${text}" passed the schema and cannot be read`);
}
