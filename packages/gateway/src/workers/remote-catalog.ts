/** The models of a pool: from what its servers say to endpoints that requests are routed to. */
import type { ModelEndpoint } from "../contracts/endpoint.ts";
import type { Snapshot } from "../contracts/inspect.ts";
import type { LineFactory } from "../contracts/line.ts";
import type { ModelStatus } from "../contracts/models.ts";
import type { GrpcPoolOptions } from "../contracts/options.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { ServedModel } from "../core/model.ts";
import type { DiscoveredModel } from "./discovery.ts";
import type { RemoteDialect } from "./remote-dialect.ts";
import { RemoteModel, type RemoteOffer } from "./remote-model.ts";
import type { RemoteServer } from "./remote-server.ts";
import { ServedVersions } from "./served-versions.ts";
import type { StatisticsRegistry } from "./statistics-registry.ts";
import { WorkerEndpoint } from "./worker-endpoint.ts";

/** What a catalog needs. */
export interface RemoteCatalogOptions {
  readonly pool: GrpcPoolOptions;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly createLine: LineFactory;
  readonly statistics: StatisticsRegistry;
  readonly dialect: RemoteDialect;
  /** When a pool without servers is looked for again, ms. */
  readonly resolveMs: number;
}

/** `name/version`. */
function idOf({ name, version }: { readonly name: string; readonly version: string }): string {
  return `${name}/${version}`;
}

/** What the pool serves at present. */
export class RemoteCatalog {
  readonly #options: RemoteCatalogOptions;
  readonly #served = new ServedVersions();
  readonly #models = new Map<string, RemoteModel>();
  #servers: readonly RemoteServer[] = [];

  constructor(options: RemoteCatalogOptions) {
    this.#options = options;
  }

  endpointFor(model: string, version: string | undefined): ModelEndpoint | Failure | undefined {
    const endpoint = this.#served.find(model, version);
    if (endpoint !== undefined) return endpoint;
    const served = this.#served.versions(model);
    if (served.length > 0) {
      const text = `Model ${model} has no version ${version}; it serves ${served.join(", ")}`;
      return failure("version_not_found", text);
    }
    const listed = this.#listed().find((entry) => entry.name === model);
    if (listed === undefined && !this.#options.pool.models.includes(model)) return undefined;
    const reason = listed?.reason ?? "";
    const why = reason === "" ? "none of its servers has it ready" : reason;
    return failure("model_unavailable", `Model ${model} of pool ${this.#options.pool.name}: ${why}`, 1_000);
  }

  versions(model: string): readonly string[] {
    return this.#served.versions(model);
  }

  list(): ModelStatus[] {
    const rows = new Map<string, ModelStatus>();
    for (const model of this.#models.values()) rows.set(idOf(model.endpoint.model), this.#status(model));
    for (const entry of this.#listed()) {
      if (rows.has(idOf(entry))) continue;
      const state = entry.state === "coming" ? "LOADING" : "UNAVAILABLE";
      const reason =
        entry.reason === "" && state === "UNAVAILABLE" ? "not loaded by its server" : entry.reason;
      rows.set(idOf(entry), this.#absent(entry, state, reason));
    }
    const known = new Set([...rows.values()].map((row) => row.name));
    for (const name of this.#options.pool.models) {
      const absent = { name, version: "" };
      if (!known.has(name))
        rows.set(name, this.#absent(absent, "UNAVAILABLE", "no server of the pool lists it"));
    }
    return [...rows.values()];
  }

  inspect(): Snapshot {
    return [...this.#models.values()].map(({ endpoint }) => {
      const { id, state, instances, line } = endpoint;
      return { endpoint: id, state, instances, waiting: line.length };
    });
  }

  /** Follows what the servers say now. */
  update(servers: readonly RemoteServer[]): void {
    this.#servers = servers;
    const offers = this.#offers();
    for (const [id, model] of this.#models) if (!offers.has(id)) model.update([]);
    for (const [id, offered] of offers) this.#serve(id, offered);
    this.#forget();
    for (const model of this.#models.values()) this.#backOff(model);
  }

  /** Refuses what waits. */
  close(): void {
    for (const model of this.#models.values()) model.close("The gateway is shutting down");
    this.#models.clear();
  }

  #offers(): Map<string, RemoteOffer[]> {
    const offers = new Map<string, RemoteOffer[]>();
    for (const { address, link, models } of this.#servers) {
      if (link === undefined) continue;
      const seen = new Set<string>();
      for (const discovered of models) {
        const id = idOf(discovered);
        if (!isCallable(discovered) || seen.has(id)) continue;
        seen.add(id);
        const offer = { address, link, discovered };
        const others = offers.get(id);
        if (others === undefined) offers.set(id, [offer]);
        else others.push(offer);
      }
    }
    return offers;
  }

  /** While servers describe a model in different ways, those that are like the first are used. */
  #serve(id: string, offers: readonly RemoteOffer[]): void {
    const [first] = offers;
    let model = this.#models.get(id);
    if (first === undefined) return;
    if (model !== undefined && !offers.some((offer) => model?.fits(offer) === true)) {
      model.close(`${id} was replaced by one with other inputs or outputs`);
      model = undefined;
    }
    if (model === undefined) {
      model = this.#createModel(first.discovered.model);
      this.#models.set(id, model);
      this.#served.set(model.endpoint);
    }
    const fitting = offers.filter((offer) => model.fits(offer));
    model.update(fitting);
    if (fitting.length === offers.length) return;
    const { logger, pool } = this.#options;
    const others = offers.filter((offer) => !fitting.includes(offer)).map((offer) => offer.address);
    logger.warn("pool_models_differ", { pool: pool.name, model: id, unused: others.join(" ") });
  }

  #createModel(model: ServedModel): RemoteModel {
    const { pool, clock, createLine, statistics, dialect } = this.#options;
    const endpoint = new WorkerEndpoint({
      pool: pool.name,
      model,
      clock,
      createLine,
      statistics: statistics.of(model.name, model.version),
      batching: { delayMs: 0, timeoutMs: pool.timeoutMs, concurrency: pool.concurrency },
    });
    return new RemoteModel(endpoint, ({ address, link, discovered }) => {
      const { host, channel } = link;
      return dialect.createInstance(discovered, { id: `${idOf(model)}@${address}`, host, channel });
    });
  }

  /** A model is forgotten on a living server's word only: as long as all are away, it may come back with them. */
  #forget(): void {
    if (!this.#servers.some((server) => server.link !== undefined)) return;
    const expected = new Set(
      this.#listed()
        .filter((entry) => entry.state !== "gone")
        .map(idOf),
    );
    for (const [id, model] of this.#models) {
      if (expected.has(id)) continue;
      this.#models.delete(id);
      this.#served.delete(model.endpoint.model.name, model.endpoint.model.version);
      model.close(`${id} was unloaded`);
    }
  }

  /** Nobody is to wait for servers that are tried again only later. */
  #backOff({ endpoint }: RemoteModel): void {
    if (endpoint.instances > 0) return;
    const id = idOf(endpoint.model);
    let untilMs = Infinity;
    for (const { state, link, models } of this.#servers) {
      if (state.state === "waiting") untilMs = Math.min(untilMs, state.untilMs);
      else if (link === undefined || models.some((entry) => entry.state === "coming" && idOf(entry) === id))
        return;
    }
    const { clock, resolveMs } = this.#options;
    endpoint.backOff(untilMs === Infinity ? clock.now() + resolveMs : untilMs);
  }

  #listed(): readonly DiscoveredModel[] {
    return this.#servers.flatMap((server) => server.models);
  }

  #status({ endpoint }: RemoteModel): ModelStatus {
    const { name, version } = endpoint.model;
    const id = idOf(endpoint.model);
    const wanted = this.#servers.filter((server) => server.models.some((entry) => idOf(entry) === id)).length;
    const base = { pool: this.#options.pool.name, name, version };
    const instances = { wanted, ready: endpoint.instances };
    if (endpoint.state === "ready") return { ...base, instances, state: "READY", reason: "" };
    const state = endpoint.state === "unavailable" ? "UNAVAILABLE" : "LOADING";
    return { ...base, instances, state, reason: this.#whyAway() };
  }

  #whyAway(): string {
    const reasons = this.#servers.flatMap(({ address, state }) =>
      "reason" in state ? [`${address}: ${state.reason}`] : [],
    );
    return reasons[0] ?? (this.#servers.length === 0 ? "the pool has no servers" : "connecting");
  }

  #absent(
    { name, version }: { readonly name: string; readonly version: string },
    state: ModelStatus["state"],
    reason: string,
  ): ModelStatus {
    return {
      pool: this.#options.pool.name,
      name,
      version,
      state,
      reason,
      instances: { wanted: 0, ready: 0 },
    };
  }
}

function isCallable(discovered: DiscoveredModel): discovered is RemoteOffer["discovered"] {
  return discovered.model !== undefined;
}
