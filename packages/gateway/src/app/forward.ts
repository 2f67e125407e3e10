/** Puts together what carries requests to HTTP servers: pools, routing, scheduling, upstream. */
import { defaultHttpPool } from "../config/index.ts";
import type { ConnectionFactory } from "../contracts/connection.ts";
import type { ForwardCatalog } from "../contracts/http-endpoint.ts";
import type { LineCost } from "../contracts/line.ts";
import { isHttpPool, type HttpPoolOptions } from "../contracts/options.ts";
import type { RequestRecords } from "../contracts/request-record.ts";
import type { Clock } from "../core/clock.ts";
import type { ForwardPayload } from "../core/forward.ts";
import { createEndpointMetrics, type EndpointMetrics } from "../endpoints/endpoint-metrics.ts";
import { FoundPools } from "../endpoints/found-pools.ts";
import { PoolSet } from "../endpoints/pool-set.ts";
import { createServerPool, type ServerPool } from "../endpoints/server-pool.ts";
import { PluginRegistry } from "../plugins/plugin-registry.ts";
import { createProfiles } from "../plugins/create-profiles.ts";
import { defaultScheduling } from "../plugins/default-scheduling.ts";
import { liveSpec } from "../plugins/shadow-specs.ts";
import type { ForwardStages } from "../pipeline/pipeline.ts";
import type { FlowControl } from "../stages/flowcontrol/create-flow-control.ts";
import { RequestLine } from "../stages/flowcontrol/line.ts";
import type { ForwardUpstream } from "../stages/upstream/create-upstream.ts";
import { createConnectionFactory } from "../stages/upstream/server-connections.ts";
import { createForwardStaging, type ForwardStaging } from "./forward-stages.ts";
import type { GatewayConfig, GatewayContext } from "./options.ts";
import { loadOptionalParts, type OptionalParts } from "./optional-parts.ts";
import type { PickerWatch } from "./picker-watch.ts";
import { createExtractors, createPoolDiscovery, createSharedData, neededSignals } from "./pool-data.ts";
import type { PreparePoolsParts } from "./prepare-pools.ts";
import type { Rules } from "./rules.ts";

/** What is made here. */
export interface Forwarding {
  readonly catalog: ForwardCatalog;
  /** Those of the configuration at the start. */
  readonly stages: ForwardStages;
  /** Counts requests that were decided on here and carried by others. */
  readonly carried: ForwardUpstream["carried"];
  /** Pools of the gateway's own; `catalog` has them from `add` to `remove`. */
  readonly own: OwnPools;
  /** Of pools that have scheduling of their own; undefined: none has. */
  readonly watch: PickerWatch | undefined;
  /** Begins to look names up and to ask the servers; `catalog.ready()` tells when all were. */
  start(): void;
  /**
   * Makes what another configuration asks for. Resolves when new pools have asked their servers what they serve. Rejects
   * with a `GatewayError` for a rule or pool that cannot be made while the gateway runs.
   */
  prepare(next: GatewayConfig, changed: ReadonlySet<string>): Promise<PreparedForwarding>;
  /** Idempotent. */
  close(): void;
}

/** What a configuration comes to that may take the place of the one before. One of the two is called, once. */
export interface PreparedForwarding {
  /** Pools that are new, other or gone. */
  readonly pools: readonly string[];
  /** Gives the stages for requests from now on. */
  commit(): ForwardStages;
  /** It is not wanted. */
  discard(): void;
}

/** A pool that nobody configured, of a server that the gateway itself keeps. */
export interface OwnPool {
  readonly options: HttpPoolOptions;
  readonly connect: ConnectionFactory;
  /** What its server is called. */
  readonly label: string;
}

/** Takes pools that come and go with what the gateway keeps. */
export interface OwnPools {
  /** While `true` the catalog is not ready. */
  setPending(pending: boolean): void;
  /** Puts the pool behind the configured ones and begins to ask its server. */
  add(pool: OwnPool): ServerPool;
  /** Takes it out and closes it. */
  remove(pool: ServerPool): void;
}

/** What it needs beside configuration and machine. */
export interface ForwardParts {
  readonly config: GatewayConfig;
  readonly context: GatewayContext;
  /** True for a model of the model workers. */
  readonly isPredictive: (model: string) => boolean;
  /** Ports that this gateway listens on. */
  readonly ownPorts: () => readonly number[];
  /** What can be asked for has changed. */
  readonly onChange: () => void;
  /** Keeps what became of requests. */
  readonly records: RequestRecords;
}

/** Rejects with a `GatewayError` for a pool whose credentials or authority cannot be read, or a rule that cannot be made. */
export async function createForwarding(given: ForwardParts): Promise<Forwarding> {
  const { config, context, onChange } = given;
  const { clock, logger } = context;
  const optional = await loadOptionalParts(config);
  const plugins = new PluginRegistry([...optional.plugins, ...config.plugins]);
  const connect = createConnectionFactory({ clock });
  const metrics = createEndpointMetrics(context.metrics);
  const watch = optional.createPickerWatch?.({ config, context, pools: () => catalog.pools() });
  const shared = createSharedData(context);
  const flows: FlowControl[] = [];
  const { createPoolFlow } = optional;
  const parts = {
    config,
    context,
    plugins,
    createPoolFlow,
    watch,
    shared,
    connect,
    metrics,
    onChange,
    flows,
  };
  const createPool = (pool: HttpPoolOptions, own?: OwnPool): ServerPool => makePool(parts, pool, own);
  const configured = config.pools.filter(isHttpPool).map((pool) => createPool(pool));
  const catalog = new PoolSet(configured, config.routes);
  const found = config.discovery
    ? new FoundPools({
        connect,
        clock,
        logger,
        pools: catalog,
        ownPorts: given.ownPorts,
        describe: defaultHttpPool,
        createPool: (pool) => createPool(pool),
        onChange,
        ...(context.discoverySpots === undefined ? {} : { spots: context.discoverySpots }),
      })
    : undefined;
  const rules = optional.createRules?.(config.rules, { ...context, plugins });
  const staging = createForwardStaging({ ...given, catalog, plugins, watch });
  return {
    catalog,
    watch,
    carried: staging.carried,
    stages: staging.direct({ routes: config.routes, rules }),
    prepare: preparing({ context, config, rules, catalog, staging, createPool }),
    own: ownPools(catalog, { create: (pool) => createPool(pool.options, pool), onChange }),
    start() {
      for (const pool of catalog.pools()) void pool.start();
      void found?.start();
      catalog.setPending("start", false);
    },
    close() {
      found?.close();
      watch?.close();
      catalog.close();
      for (const flow of flows) flow.close();
      staging.close();
    },
  };
}

/** As `Forwarding.prepare`; one configuration after the other. */
function preparing(parts: {
  readonly context: GatewayContext;
  /** That of the start, and its rules. */
  readonly config: GatewayConfig;
  readonly rules: Rules | undefined;
  readonly catalog: PoolSet;
  readonly staging: ForwardStaging;
  readonly createPool: (options: HttpPoolOptions) => ServerPool;
}): Forwarding["prepare"] {
  const { context, catalog, staging, createPool } = parts;
  let { rules } = parts;
  let current = parts.config.pools;
  const making: PreparePoolsParts = {
    ...context,
    catalog,
    createPool,
    isIdle: (pool) => staging.isIdle(pool),
  };
  return async (next, changed) => {
    const wanted = changed.has("rules") ? await rulesOf(next, context) : rules;
    const discardRules = (): void => (wanted === rules ? undefined : wanted?.close());
    const { preparePools } = await import("./prepare-pools.ts");
    const pools = await preparePools(making, { current, next: next.pools }).catch((error: unknown) => {
      discardRules();
      throw error;
    });
    return {
      pools: pools.changed,
      commit() {
        current = next.pools;
        pools.commit();
        catalog.setRoutes(next.routes);
        return staging.direct({ routes: next.routes, rules: (rules = wanted) });
      },
      discard() {
        discardRules();
        pools.discard();
      },
    };
  };
}

/** The rules of a configuration; undefined: it has none. */
async function rulesOf(config: GatewayConfig, context: GatewayContext): Promise<Rules | undefined> {
  const optional = await loadOptionalParts(config);
  const plugins = new PluginRegistry([...optional.plugins, ...config.plugins]);
  return optional.createRules?.(config.rules, { ...context, plugins });
}

interface PoolParts extends Pick<ForwardParts, "config" | "context" | "onChange"> {
  readonly createPoolFlow: OptionalParts["createPoolFlow"];
  readonly plugins: PluginRegistry;
  readonly watch: PickerWatch | undefined;
  readonly shared: ReturnType<typeof createSharedData>;
  readonly connect: ConnectionFactory;
  readonly metrics: EndpointMetrics;
  /** Those to be closed with the pools; each pool adds its own. */
  readonly flows: FlowControl[];
}

/** A pool with its scheduling, its line, and where its endpoints and their numbers come from. */
function makePool(
  { config, context, onChange, plugins, createPoolFlow, watch, shared, connect, metrics, flows }: PoolParts,
  pool: HttpPoolOptions,
  own: OwnPool | undefined,
): ServerPool {
  const { clock, random, logger } = context;
  const flow = createPoolFlow?.(pool, plugins, context);
  const line = flow?.control.line ?? createPlainLine(config, clock);
  const { label } = own ?? {};
  const spec = pool.scheduling ?? defaultScheduling({ readsMetrics: pool.data?.metrics !== undefined });
  const layer = createProfiles(liveSpec(spec), plugins, context);
  const wired = flow === undefined ? layer : { ...layer, signals: layer.signals.union(flow.signals) };
  const scheduling = watch?.observed(pool.name, wired) ?? wired;
  const discovery = createPoolDiscovery(pool, plugins, context);
  const needs = neededSignals(pool, wired.signals, plugins);
  const scraping = { ...shared.scraping, needs, extractors: createExtractors(pool, plugins, context) };
  const parts = {
    pool,
    connect: own?.connect ?? connect,
    label,
    scheduling,
    discovery,
    ...shared,
    scraping,
  };
  const gate = flow?.control.gate;
  const flowNeedsBody = flow?.needsBody;
  const made = createServerPool({
    ...parts,
    line,
    gate,
    flowNeedsBody,
    clock,
    random,
    logger,
    metrics,
    onChange,
  });
  if (flow === undefined) return made;
  flow.control.attach(made);
  flows.push(flow.control);
  return made;
}

/** The line of a pool without flow control. */
function createPlainLine({ flow }: GatewayConfig, clock: Clock): RequestLine<ForwardPayload, LineCost> {
  return new RequestLine({ clock, maxQueue: flow.maxQueue, onRefused: () => {} });
}

function ownPools(
  catalog: PoolSet,
  { create, onChange }: { readonly create: (pool: OwnPool) => ServerPool; readonly onChange: () => void },
): OwnPools {
  let pools: readonly ServerPool[] = [];
  return {
    setPending(pending) {
      catalog.setPending("engine", pending);
      if (!pending) onChange();
    },
    add(options) {
      const pool = create(options);
      pools = [...pools, pool];
      catalog.setOwn(pools);
      void pool.start();
      return pool;
    },
    remove(pool) {
      pools = pools.filter((each) => each !== pool);
      catalog.setOwn(pools);
      pool.close();
      onChange();
    },
  };
}
