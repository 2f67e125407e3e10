/** Which servers of a pool have a model, which of them can be asked now, and what callers hear where none can. */
import type { PooledModel } from "../contracts/http-endpoint.ts";
import type { HttpPoolOptions } from "../contracts/options.ts";
import type { Clock } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import { listModels } from "./list-models.ts";
import { anyModel } from "./scarcity/pool-scarcity.ts";
import type { ServerEndpoint } from "./server-endpoint.ts";
import { takesAnyModel } from "./server-models.ts";

/** Pause named to callers where it is not known when a server can be asked again, ms. */
const usualRetryMs = 2_000;
/** A wait that is longer than this is told to the caller rather than waited for, ms. */
const patienceMs = 10_000;

/** Endpoints of one model. */
export interface Served {
  readonly all: readonly ServerEndpoint[];
  readonly candidates: readonly ServerEndpoint[];
}

/** Looked up once a model between two changes of the servers. */
export class PoolModels {
  readonly #pool: HttpPoolOptions;
  readonly #clock: Clock;
  #endpoints: readonly ServerEndpoint[] = [];
  /** Holds only names that a server answers to. */
  #served: Map<string, Served> | undefined;
  #models: readonly PooledModel[] | undefined;

  constructor(pool: HttpPoolOptions, clock: Clock) {
    this.#pool = pool;
    this.#clock = clock;
  }

  /** These are the pool's servers now, and any of them may have changed. */
  changed(endpoints: readonly ServerEndpoint[]): void {
    this.#endpoints = endpoints;
    this.#served = undefined;
    this.#models = undefined;
  }

  list(): readonly PooledModel[] {
    this.#models ??= listModels(this.#pool.name, this.#endpoints);
    return this.#models;
  }

  /** Undefined: no server has it. */
  of(asked: string): Served | undefined {
    this.#served ??= new Map();
    const model = takesAnyModel(this.#pool) ? anyModel : asked;
    const known = this.#served.get(model);
    if (known !== undefined) return known;
    const all = this.#endpoints.filter((server) => server.targetFor(model) !== undefined);
    if (all.length === 0) return undefined;
    const served = { all, candidates: candidatesOf(all) };
    this.#served.set(model, served);
    return served;
  }

  /** Why a request for the model is not even waited for; undefined: it can be sent, or waited for. */
  refusalFor(model: string): Failure | undefined {
    const { all = [], candidates = [] } = this.of(model) ?? {};
    if (candidates.length > 0) return undefined;
    const states = new Set(all.map(({ state }) => state));
    if (states.has("loading")) return undefined;
    if (states.has("busy") || states.has("rate-limited")) return this.#refusePaused(model, all);
    const about = states.has("misconfigured")
      ? "refuse the gateway's requests: their credentials or dialect are not what it was told"
      : "cannot be asked for this model now";
    return failure("model_unavailable", `The servers of pool ${this.#pool.name} ${about}`, usualRetryMs);
  }

  /** Short pauses are waited for in line; of a long one the caller is told. */
  #refusePaused(model: string, all: readonly ServerEndpoint[]): Failure | undefined {
    const now = this.#clock.now();
    const waits = all.flatMap(({ resumesAt }) => (resumesAt === undefined ? [] : [resumesAt - now]));
    const wait = Math.min(...waits);
    if (!(wait > patienceMs) || waits.length === 0) return undefined;
    const text = `The servers of pool ${this.#pool.name} that have ${JSON.stringify(model)} ask to be left alone for a while`;
    return failure("model_unavailable", text, wait);
  }
}

/**
 * Healthy servers, and those that one request may try. Where there is none, those that were ejected are
 * asked all the same: ejection never empties a pool. Servers that asked for a pause are left alone even then.
 */
function candidatesOf(all: readonly ServerEndpoint[]): readonly ServerEndpoint[] {
  const well = all.filter((server) => server.state === "ready" || server.halfOpen);
  if (well.some((server) => server.state === "ready")) return well;
  const waited = all.some(({ state }) => state === "busy" || state === "rate-limited" || state === "loading");
  if (waited) return well;
  const ejected = all.filter(({ state }) => state === "unhealthy");
  return ejected.length > 0 ? ejected : well;
}
