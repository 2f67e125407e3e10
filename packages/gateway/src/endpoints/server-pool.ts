/** A pool of HTTP servers: who belongs to it, what they serve together, and who can be asked now. */
import type { ConnectionFactory } from "../contracts/connection.ts";
import type {
  HttpEndpoint,
  HttpEndpointState,
  HttpPool,
  ForwardTimeouts,
  PooledModel,
  RetryOptions,
} from "../contracts/http-endpoint.ts";
import type { FlowGate } from "../contracts/flow-gate.ts";
import type { Snapshot } from "../contracts/inspect.ts";
import type { Line, LineCost } from "../contracts/line.ts";
import type { HttpPoolOptions } from "../contracts/options.ts";
import type { WiredScheduling } from "../contracts/plugins/wired-scheduling.ts";
import type { EndpointDiscovery } from "../contracts/plugins/data.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { ForwardPayload } from "../core/forward.ts";
import type { Random } from "../core/random.ts";
import { resolveHost, type ResolveHost } from "../core/resolve-host.ts";
import { AddressBook, type PlacedAddress } from "./address-book.ts";
import type { EndpointMetrics } from "./endpoint-metrics.ts";
import { PoolMetrics, type Scraping } from "./metrics/pool-metrics.ts";
import { PoolModels } from "./pool-models.ts";
import { measuredPool } from "./scarcity/measured-pool.ts";
import { PoolScarcity } from "./scarcity/pool-scarcity.ts";
import type { ScarcityGauges } from "./scarcity/scarcity-metrics.ts";
import { metricsAccess, readPoolAccess, serverAccess, type PoolAccess } from "./server-access.ts";
import { ServerEndpoint, type ServerListener } from "./server-endpoint.ts";
import { takesAnyModel } from "./server-models.ts";

/** What a pool needs. */
export interface ServerPoolOptions {
  readonly pool: HttpPoolOptions;
  readonly connect: ConnectionFactory;
  /** What the server is called where it is the gateway's own engine, whose address says nothing to people. */
  readonly label?: string | undefined;
  readonly line: Line<ForwardPayload, LineCost>;
  /** How an endpoint is chosen; undefined: by the stage's default. */
  readonly scheduling?: WiredScheduling | undefined;
  /** Flow control depends on bodies. Default false. */
  readonly flowNeedsBody?: boolean | undefined;
  /** Hears when signals are new, or endpoints come and go. */
  readonly gate?: FlowGate | undefined;
  /** Where further endpoints come from. The pool starts and closes it. */
  readonly discovery?: EndpointDiscovery | undefined;
  /** What reading metrics shares with other pools; undefined: this pool's metrics are not read. */
  readonly scraping?: Scraping | undefined;
  /** Where the scarcity of pools is shown that have a data layer or flow control; undefined: it is not followed. */
  readonly scarcityGauges?: ScarcityGauges | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: EndpointMetrics;
  /** Default: the system's resolver. */
  readonly resolve?: ResolveHost;
  /** How often names are resolved, ms. Default 15,000. */
  readonly resolveMs?: number;
  /** How often the endpoints file is looked at, ms. Default 2,000. */
  readonly fileMs?: number;
  /** What can be asked for has changed. */
  readonly onChange: () => void;
}

/** A pool that the application starts and closes. */
export interface ServerPool extends HttpPool {
  readonly endpoints: readonly ServerEndpoint[];
  readonly options: HttpPoolOptions;
  /** What it shows to its servers, as it was read when the pool was made. */
  readonly access: PoolAccess;
  /** True once every server was asked what it serves, whatever came of it. */
  readonly settled: boolean;
  /** Looks names up and begins to ask the servers. Resolves when the names were looked up; never rejects. */
  start(): Promise<void>;
  /** Other endpoints than those of the options: IP addresses only, no names. */
  setEndpoints(endpoints: readonly string[]): void;
  /** Refuses what waits and closes every connection. Idempotent. */
  close(): void;
}

/** Makes a pool. Throws a `GatewayError` for credentials or authorities that cannot be read. */
export function createServerPool(options: ServerPoolOptions): ServerPool {
  return new Pool(options);
}

const none: readonly ServerEndpoint[] = [];

class Pool implements ServerPool {
  readonly name: string;
  readonly options: HttpPoolOptions;
  readonly timeouts: ForwardTimeouts;
  readonly retry: RetryOptions;
  readonly line: Line<ForwardPayload, LineCost>;
  readonly scheduling: WiredScheduling | undefined;
  readonly gate: FlowGate | undefined;
  readonly #parts: ServerPoolOptions;
  readonly #book: AddressBook;
  readonly access: PoolAccess;
  readonly #metrics: PoolMetrics | undefined;
  readonly scarcity: PoolScarcity | undefined;
  readonly #servers = new Map<string, ServerEndpoint>();
  /** Left the book and finish what they have. */
  readonly #draining = new Map<string, ServerEndpoint>();
  #endpoints: readonly ServerEndpoint[] = [];
  readonly #models: PoolModels;
  #looked = false;
  #closed = false;
  #onRoom: () => void = () => {};
  #onGone: (endpoint: ServerEndpoint) => void = () => {};

  constructor(parts: ServerPoolOptions) {
    const { pool, line, clock, logger, resolve = resolveHost, resolveMs = 15_000, fileMs = 2_000 } = parts;
    this.#parts = parts;
    this.options = pool;
    this.name = pool.name;
    this.timeouts = pool.timeouts;
    this.retry = pool.retry;
    this.line = line;
    this.scheduling = parts.scheduling;
    this.gate = parts.gate;
    this.#models = new PoolModels(pool, clock);
    this.access = readPoolAccess(pool);
    this.#metrics = poolMetrics(parts, () => this.gate?.changed());
    const isFollowed = parts.scarcityGauges !== undefined && (pool.data ?? pool.flow) !== undefined;
    this.scarcity = isFollowed ? new PoolScarcity(measuredPool(this, clock), clock) : undefined;
    const { name, endpoints, endpointsFile: file } = pool;
    const onChange = (placed: readonly PlacedAddress[]): void => this.#place(placed);
    this.#book = new AddressBook({
      pool: name,
      endpoints,
      file,
      clock,
      logger,
      resolve,
      resolveMs,
      fileMs,
      onChange,
    });
  }

  get endpoints(): readonly ServerEndpoint[] {
    return this.#endpoints;
  }

  get needsBody(): boolean {
    const { scheduling, options } = this;
    if (options.models.length > 0 || this.#parts.flowNeedsBody === true || scheduling === undefined)
      return true;
    // Shadows read prompts from when they say so.
    return scheduling.needsBody || scheduling.readsPrompt;
  }

  get takesAny(): boolean {
    return takesAnyModel(this.options);
  }

  get isOwn(): boolean {
    return this.#parts.label !== undefined;
  }

  get settled(): boolean {
    return this.#looked && this.#endpoints.every((server) => server.tried);
  }

  get answered(): boolean {
    if (this.options.models.length > 0 || this.options.passthrough === true) return true;
    return this.#endpoints.some(({ survey }) => survey !== undefined);
  }

  async start(): Promise<void> {
    if (!this.#closed) {
      this.#parts.metrics.opened(this);
      this.#follow();
    }
    await Promise.all([this.#book.start(), this.#discover()]);
    this.#looked = true;
    this.#parts.onChange();
  }

  setEndpoints(endpoints: readonly string[]): void {
    this.#book.setEndpoints(endpoints);
  }

  endpointsFor(model: string): readonly ServerEndpoint[] {
    return this.#models.of(model)?.all ?? none;
  }

  candidatesFor(model: string): readonly ServerEndpoint[] {
    return this.#models.of(model)?.candidates ?? none;
  }

  awaits(model?: string): boolean {
    if (this.gate?.waitsForEndpoints !== true || this.#endpoints.length > 0) return false;
    return model === undefined || takesAnyModel(this.options) || this.options.models.includes(model);
  }

  refusalFor(model: string): Failure | undefined {
    return this.#models.refusalFor(model);
  }

  models(): readonly PooledModel[] {
    return this.#models.list();
  }

  onRoom(listener: () => void): void {
    this.#onRoom = listener;
  }

  onGone(listener: (endpoint: HttpEndpoint) => void): void {
    this.#onGone = listener;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#book.close();
    this.#parts.discovery?.close();
    if (this.scarcity !== undefined) {
      this.scarcity.close();
      this.#parts.scarcityGauges?.remove(this.scarcity);
    }
    for (const server of [...this.#servers.values(), ...this.#draining.values()]) this.#remove(server);
    this.#servers.clear();
    this.#draining.clear();
    this.#endpoints = [];
    this.#models.changed(this.#endpoints);
    this.#parts.metrics.closed(this);
    this.line.flush(failure("draining"));
  }

  inspect(): Snapshot {
    const { name, options, line } = this;
    const servers = [...this.#endpoints, ...this.#draining.values()].map((server) => server.inspect());
    const scarcity = this.scarcity?.inspect();
    return {
      name,
      dialect: options.dialect,
      waiting: line.length,
      servers,
      ...(scarcity === undefined ? {} : { scarcity }),
    };
  }

  #follow(): void {
    if (this.scarcity === undefined) return;
    this.scarcity.start();
    this.#parts.scarcityGauges?.add(this.scarcity);
  }

  async #discover(): Promise<void> {
    const { discovery, logger } = this.#parts;
    let isFailing = false;
    await discovery?.start({
      found: (endpoints) => {
        if (isFailing)
          logger.warn("pool_discovery_recovered", { pool: this.name, endpoints: endpoints.length });
        isFailing = false;
        this.#book.setDiscovered(endpoints);
      },
      failed: (reason) => {
        isFailing = true;
        logger.warn("pool_discovery_failed", { pool: this.name, reason });
      },
    });
  }

  #place(placed: readonly PlacedAddress[]): void {
    if (this.#closed) return;
    const wanted = new Map(placed.map((each) => [each.key, each]));
    for (const [key, server] of this.#servers) {
      if (wanted.has(key)) continue;
      this.#servers.delete(key);
      this.#log("pool_server_left", server);
      this.#metrics?.remove(server);
      server.drain();
      if (server.closed) this.#remove(server);
      else this.#draining.set(key, server);
    }
    for (const each of wanted.values()) {
      const server = this.#servers.get(each.key) ?? this.#add(each);
      server.setPlace(each.place);
      this.#metrics?.add(server);
    }
    this.#endpoints = [...this.#servers.values()];
    this.#changed();
  }

  #add(placed: PlacedAddress): ServerEndpoint {
    const back = this.#draining.get(placed.key);
    this.#draining.delete(placed.key);
    if (back?.undrain() === true) {
      this.#servers.set(placed.key, back);
      return back;
    }
    const { connect, clock, random, logger, pool, label = placed.label } = this.#parts;
    const access = serverAccess(pool, this.access, placed.address, placed.ip);
    const source = pool.data?.metrics;
    const server = new ServerEndpoint({
      pool,
      address: label,
      place: placed.place,
      connect: () => connect(access),
      metricsAccess: source === undefined ? access : metricsAccess(access, this.access, source),
      clock,
      random,
      logger,
      listener: this.#listener(),
    });
    this.#servers.set(placed.key, server);
    this.#parts.metrics.added(server);
    this.#log("pool_server_found", server);
    server.start();
    return server;
  }

  #listener(): ServerListener {
    const { metrics } = this.#parts;
    return {
      changed: (server) => this.#serverChanged(server),
      stateChanged: (server: ServerEndpoint, previous: HttpEndpointState) =>
        metrics.stateChanged(server, previous),
      ejected: (server, cause) => metrics.ejected(server, cause),
      probed: (server, result) => metrics.probed(server, result),
      ended: (server, result) => {
        metrics.ended(server, result);
        if (server.closed) this.#serverChanged(server);
      },
    };
  }

  #serverChanged(server: ServerEndpoint): void {
    if (this.#closed) return;
    if (server.closed) {
      for (const [key, each] of this.#draining) if (each === server) this.#draining.delete(key);
      this.#remove(server);
    }
    this.#changed();
  }

  #remove(server: ServerEndpoint): void {
    server.close();
    this.#metrics?.remove(server);
    this.#parts.metrics.removed(server);
    this.#onGone(server);
  }

  #changed(): void {
    this.#models.changed(this.#endpoints);
    this.#parts.onChange();
    this.gate?.changed();
    this.#onRoom();
  }

  #log(event: string, { address }: ServerEndpoint): void {
    this.#parts.logger.info(event, { pool: this.name, endpoint: address });
  }
}

function poolMetrics(parts: ServerPoolOptions, onSignals: () => void): PoolMetrics | undefined {
  const { pool, scraping, connect, clock, random, logger } = parts;
  if (pool.data?.metrics === undefined || scraping === undefined) return undefined;
  return new PoolMetrics({ data: pool.data, scraping, connect, clock, random, logger, onSignals });
}
