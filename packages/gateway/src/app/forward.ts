/** Puts together what carries requests to HTTP servers: pools, routing, scheduling, upstream. */
import { defaultHttpPool } from "../config/index.ts";
import type { ForwardCatalog } from "../contracts/http-endpoint.ts";
import type { LineCost } from "../contracts/line.ts";
import { isHttpPool, type HttpPoolOptions } from "../contracts/options.ts";
import type { ForwardPayload } from "../core/forward.ts";
import { createEndpointMetrics } from "../endpoints/endpoint-metrics.ts";
import { FoundPools } from "../endpoints/found-pools.ts";
import { PoolSet } from "../endpoints/pool-set.ts";
import { createServerPool, type ServerPool } from "../endpoints/server-pool.ts";
import type { ForwardStages } from "../pipeline/pipeline.ts";
import { RequestLine } from "../stages/flowcontrol/line.ts";
import { createForwardRouter } from "../stages/routing/forward-router.ts";
import { createScheduling } from "../stages/scheduling/create-scheduling.ts";
import { createUpstream } from "../stages/upstream/create-upstream.ts";
import { createRefusalCounter } from "../stages/upstream/forward-metrics.ts";
import { createConnectionFactory } from "../stages/upstream/undici-connection.ts";
import type { GatewayConfig, GatewayContext } from "./options.ts";

/** What is made here. */
export interface Forwarding {
  readonly catalog: ForwardCatalog;
  readonly stages: ForwardStages;
  /** Begins to look names up and to ask the servers; `catalog.ready()` tells when all were. */
  start(): void;
  /** Idempotent. */
  close(): void;
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
}

/** Throws a `GatewayError` for a pool whose credentials or authority cannot be read. */
export function createForwarding({
  config,
  context,
  isPredictive,
  ownPorts,
  onChange,
}: ForwardParts): Forwarding {
  const { clock, random, logger } = context;
  const connect = createConnectionFactory({ clock });
  const metrics = createEndpointMetrics(context.metrics);
  const createPool = (pool: HttpPoolOptions): ServerPool => {
    const line = new RequestLine<ForwardPayload, LineCost>({
      clock,
      maxQueue: config.flow.maxQueue,
      onRefused: () => {},
    });
    return createServerPool({ pool, connect, line, clock, random, logger, metrics, onChange });
  };
  const catalog = new PoolSet(config.pools.filter(isHttpPool).map(createPool), config.routes);
  const found = config.discovery
    ? new FoundPools({
        connect,
        clock,
        logger,
        pools: catalog,
        ownPorts,
        describe: defaultHttpPool,
        createPool,
        onChange,
        ...(context.discoverySpots === undefined ? {} : { spots: context.discoverySpots }),
      })
    : undefined;
  const scheduling = createScheduling({
    clock,
    random,
    onRefused: createRefusalCounter(context.metrics),
  });
  const routing = createForwardRouter({ catalog, routes: config.routes, random, isPredictive });
  return {
    catalog,
    stages: {
      routing,
      scheduling,
      upstream: createUpstream({ clock, random, logger, metrics: context.metrics, scheduling }),
    },
    start() {
      for (const pool of catalog.pools()) void pool.start();
      void found?.start();
    },
    close() {
      found?.close();
      catalog.close();
    },
  };
}
