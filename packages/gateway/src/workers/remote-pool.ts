/**
 * Model servers that run elsewhere and speak gRPC: their names are resolved again and again, every
 * address is kept connected, and what they serve is offered to routing as one endpoint a model
 * version, whose instances are the addresses.
 */
import { readFileSync } from "node:fs";
import { createChannel, type ChannelOptions } from "@spillway/grpc";
import type { ModelEndpoint } from "../contracts/endpoint.ts";
import type { Snapshot } from "../contracts/inspect.ts";
import type { LineFactory } from "../contracts/line.ts";
import type { ModelStatus } from "../contracts/models.ts";
import type { GrpcPoolOptions } from "../contracts/options.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { GatewayError, type Failure } from "../core/errors.ts";
import { createSystemRandom, type Random } from "../core/random.ts";
import { formatAddress, resolveHost, type ResolveHost } from "../core/resolve-host.ts";
import type { ModelSource } from "./catalog.ts";
import { isAddress, parseRemoteName, type RemoteName } from "./remote-address.ts";
import { RemoteCatalog } from "./remote-catalog.ts";
import { createRemoteDialect } from "./remote-dialect.ts";
import {
  defaultRemoteTiming,
  RemoteServer,
  type RemoteServerState,
  type RemoteTiming,
} from "./remote-server.ts";
import type { StatisticsRegistry } from "./statistics-registry.ts";

/** Servers of one pool; further addresses are left out. */
const maxServers = 1_024;

/** What a pool needs. */
export interface RemotePoolOptions {
  readonly pool: GrpcPoolOptions;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly createLine: LineFactory;
  readonly statistics: StatisticsRegistry;
  /** Default: the machine's random numbers. */
  readonly random?: Random;
  /** Default: the system's resolver. */
  readonly resolve?: ResolveHost;
  /** Default: `defaultRemoteTiming`. */
  readonly timing?: Partial<RemoteTiming>;
  /** What can be asked for, or how it stands, has changed. */
  readonly onChange: () => void;
}

/** A pool of model servers; routed to like the local repository. */
export interface RemotePool extends ModelSource {
  readonly name: string;
  /** How each of its servers is. */
  readonly states: readonly RemoteServerState["state"][];
  /** Resolves the names and starts to connect. Resolves when every name was looked up once; never rejects. */
  start(): Promise<void>;
  /** Refuses what waits and closes every connection. Idempotent. */
  close(): void;
  inspect(): Snapshot;
}

/**
 * Makes a pool. Throws a `GatewayError` for an endpoint that cannot be read, a certificate file that
 * cannot be read, and a `model-inference` pool that names no model.
 */
export function createRemotePool(options: RemotePoolOptions): RemotePool {
  return new Pool(options);
}

class Pool implements RemotePool {
  readonly name: string;
  readonly #options: RemotePoolOptions;
  readonly #timing: RemoteTiming;
  readonly #random: Random;
  readonly #names: readonly RemoteName[];
  readonly #ca: string | undefined;
  readonly #dialect: ReturnType<typeof createRemoteDialect>;
  readonly #catalog: RemoteCatalog;
  /** Addresses of each name when it was last resolved. */
  readonly #addresses = new Map<RemoteName, readonly string[]>();
  /** Names that could not be resolved at the last look, and why. */
  readonly #unresolved = new Map<RemoteName, string>();
  readonly #servers = new Map<string, RemoteServer>();
  readonly #timers = new Map<RemoteName, Timer>();
  #state: "new" | "open" | "closed" = "new";

  constructor(options: RemotePoolOptions) {
    const { pool, clock, logger, createLine, statistics } = options;
    this.name = pool.name;
    this.#options = options;
    this.#timing = { ...defaultRemoteTiming, ...options.timing };
    this.#random = options.random ?? createSystemRandom();
    this.#names = pool.endpoints.map(parseRemoteName);
    this.#ca = pool.ca === undefined ? undefined : readAuthority(pool.name, pool.ca);
    this.#dialect = createRemoteDialect(pool);
    const dialect = this.#dialect;
    const { resolveMs } = this.#timing;
    this.#catalog = new RemoteCatalog({ pool, clock, logger, createLine, statistics, dialect, resolveMs });
  }

  /** True once every name was looked up and every server has said what it serves, or could not be reached. */
  get settled(): boolean {
    return (
      this.#addresses.size === this.#names.length &&
      [...this.#servers.values()].every((server) => server.tried)
    );
  }

  get states(): readonly RemoteServerState["state"][] {
    return [...this.#servers.values()].map(({ state }) => state.state);
  }

  async start(): Promise<void> {
    if (this.#state !== "new") return;
    this.#state = "open";
    await Promise.all(this.#names.map((name) => this.#resolve(name)));
  }

  endpointFor(model: string, version: string | undefined): ModelEndpoint | Failure | undefined {
    return this.#catalog.endpointFor(model, version);
  }

  versions(model: string): readonly string[] {
    return this.#catalog.versions(model);
  }

  list(): ModelStatus[] {
    return this.#catalog.list();
  }

  inspect(): Snapshot {
    const { dialect } = this.#options.pool;
    const servers = [...this.#servers.values()].map((server) => inspectServer(server));
    return { name: this.name, dialect, servers, models: this.#catalog.inspect() };
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    for (const timer of this.#timers.values()) timer.cancel();
    for (const server of this.#servers.values()) server.close("now");
    this.#servers.clear();
    this.#catalog.close();
  }

  /** Names that cannot be resolved keep the addresses they had: a resolver that is down takes no server away. */
  async #resolve(name: RemoteName): Promise<void> {
    const { pool, logger } = this.#options;
    try {
      const addresses = isAddress(name.host) ? [name.host] : await this.#lookUp(name.host);
      this.#addresses.set(name, addresses);
      if (this.#unresolved.delete(name))
        logger.warn("pool_name_resolved", { pool: pool.name, host: name.host });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // Once for each reason, not at every look.
      if (this.#unresolved.get(name) !== reason)
        logger.warn("pool_name_unresolved", { pool: pool.name, host: name.host, reason });
      this.#unresolved.set(name, reason);
      if (!this.#addresses.has(name)) this.#addresses.set(name, []);
    }
    if (this.#state !== "open") return;
    this.#placeServers();
    if (!isAddress(name.host)) this.#resolveLater(name);
  }

  #lookUp(host: string): Promise<readonly string[]> {
    return (this.#options.resolve ?? resolveHost)(host);
  }

  #resolveLater(name: RemoteName): void {
    const resolve = (): void => void this.#resolve(name);
    this.#timers.set(name, this.#options.clock.after(this.#timing.resolveMs, resolve));
  }

  /** Connects to addresses that are new, lets go of those that have left every name. */
  #placeServers(): void {
    const wanted = new Map<string, ChannelOptions>();
    for (const [name, addresses] of this.#addresses) {
      for (const host of addresses) {
        const address = formatAddress(host, name.port);
        if (wanted.size < maxServers)
          wanted.set(`${name.security} ${address}`, this.#channelOptions(name, address));
      }
    }
    let changed = false;
    for (const [key, server] of this.#servers) {
      if (wanted.has(key)) continue;
      changed = true;
      this.#servers.delete(key);
      server.close("gently");
      this.#log("pool_server_left", server.address);
    }
    for (const [key, channel] of wanted) {
      if (this.#servers.has(key)) continue;
      changed = true;
      const server = this.#createServer(channel);
      this.#servers.set(key, server);
      this.#log("pool_server_found", server.address);
      server.start();
    }
    if (changed || this.#servers.size === 0) this.#update();
  }

  #log(event: string, server: string): void {
    this.#options.logger.info(event, { pool: this.name, server });
  }

  #channelOptions(name: RemoteName, address: string): ChannelOptions {
    const { connectTimeoutMs } = this.#timing;
    if (name.security === "plain") return { address, connectTimeoutMs };
    const ca = this.#ca === undefined ? {} : { ca: this.#ca };
    return { address, connectTimeoutMs, tls: { ...ca, serverName: name.host } };
  }

  #createServer(channel: ChannelOptions): RemoteServer {
    const { clock, logger } = this.#options;
    return new RemoteServer({
      pool: this.name,
      address: channel.address,
      createChannel: () => createChannel(channel),
      dialect: this.#dialect,
      timing: this.#timing,
      clock,
      random: this.#random,
      logger,
      onChange: () => this.#update(),
    });
  }

  #update(): void {
    if (this.#state !== "open") return;
    this.#catalog.update([...this.#servers.values()]);
    this.#options.onChange();
  }
}

function readAuthority(pool: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError("internal", `Pool ${pool}: the certificate authority cannot be read: ${text}`, {
      cause,
    });
  }
}

/** At most this many models of a server are shown. */
const maxShown = 20;

function inspectServer(server: RemoteServer): Snapshot {
  const { state, address, models } = server;
  const shown = models.slice(0, maxShown).map((model) => `${model.name}/${model.version}`);
  const running = server.link?.host.running ?? 0;
  return { address, running, models: shown, modelCount: models.length, ...state };
}
