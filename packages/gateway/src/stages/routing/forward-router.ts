/** Routing of requests that HTTP servers answer: from the model's name to a pool and the name it has there. */
import type { EscalationRule } from "../../contracts/escalation.ts";
import type { ForwardCatalog, ForwardRoute, HttpPool } from "../../contracts/http-endpoint.ts";
import type { RouteOptions, RouteTarget } from "../../contracts/options.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { mayUse } from "../../core/may-use.ts";
import { otherName } from "../../core/model-name.ts";
import type { Caller } from "../../core/request.ts";

/** What the router needs. */
export interface ForwardRouterOptions {
  readonly catalog: ForwardCatalog;
  readonly routes: readonly RouteOptions[];
  readonly random: Random;
  /** True for a model of the model workers, which takes tensors and no chats. */
  readonly isPredictive: (model: string) => boolean;
}

/** Finds where requests for a model may go; in one pool, where one is named. The caller is who is told of it. */
export type ForwardRouter = (
  caller: Caller,
  model: string,
  pool: string | undefined,
) => ForwardRoute | Failure;

/** Pause named to callers while a pool has not answered yet, ms. */
const unansweredRetryMs = 1_000;

/** A route of the configuration decides; without one the first pool that has the model. */
export function createForwardRouter(options: ForwardRouterOptions): ForwardRouter {
  const { catalog, random } = options;
  const routes = routesByName(options.routes);
  return (caller, model, wanted) => {
    const pools = catalog.pools();
    if (wanted !== undefined) return inPool(pools, wanted, model);
    const route = routes.get(model);
    if (route !== undefined) {
      return pickTarget(route, pools, random) ?? unknown(options, model, caller);
    }
    for (const pool of pools) {
      if (pool.endpointsFor(model).length > 0) return { pool, model };
    }
    // A pool that scales from zero: the request waits for a server to come.
    const awaiting = pools.find((pool) => pool.awaits?.(model) === true);
    if (awaiting !== undefined) return { pool: awaiting, model };
    return unknown(options, model, caller);
  };
}

/** A rule of the configuration names the pool: what is wrong is not the caller's mistake. */
function inPool(pools: readonly HttpPool[], name: string, model: string): ForwardRoute | Failure {
  const pool = pools.find((each) => each.name === name);
  if (pool !== undefined && isServed(pool, model)) return { pool, model };
  const text = pool === undefined ? `There is no pool ${name}` : `Pool ${name} has no model ${quoted(model)}`;
  return failure("model_unavailable", `${text}, where a rule sends this request`, unansweredRetryMs);
}

/** By servers that are there, or by one that the request may wait for. */
function isServed(pool: HttpPool, model: string): boolean {
  return pool.endpointsFor(model).length > 0 || pool.awaits?.() === true;
}

function quoted(model: string): string {
  return JSON.stringify(model.slice(0, 200));
}

/** Every place where `createForwardRouter` may send requests for a model, without a choice; empty where it would refuse. */
export function createPlaces({
  catalog,
  routes: options,
}: Pick<ForwardRouterOptions, "catalog" | "routes">): (model: string) => readonly ForwardRoute[] {
  const routes = routesByName(options);
  return (model) => {
    const pools = catalog.pools();
    const route = routes.get(model);
    if (route === undefined) {
      const pool = pools.find((each) => each.endpointsFor(model).length > 0);
      return pool === undefined ? [] : [{ pool, model }];
    }
    const { targets, escalate } = route;
    return targets.flatMap(({ pool: name, model: target }) => {
      const pool = pools.find((each) => each.name === name);
      if (pool === undefined) return [];
      return [escalate === undefined ? { pool, model: target } : { pool, model: target, escalate }];
    });
  };
}

/** Targets by every name of their model: `name` and `name:latest` are one where no other route says otherwise. */
function routesByName(options: readonly RouteOptions[]): ReadonlyMap<string, CompiledRoute> {
  const routes = options.map(({ model, targets, escalate }) => {
    const rule = escalate === undefined ? undefined : { route: model, ...escalate };
    return { model, targets, escalate: rule };
  });
  const named = new Map<string, CompiledRoute>(routes.map((route) => [route.model, route]));
  for (const route of routes) {
    const other = otherName(route.model);
    if (other !== undefined && !named.has(other)) named.set(other, route);
  }
  return named;
}

interface CompiledRoute {
  readonly targets: readonly [RouteTarget, ...RouteTarget[]];
  readonly escalate: EscalationRule | undefined;
}

/** At random by weight, among the targets that can be asked now where there are any. */
function pickTarget(
  { targets, escalate }: CompiledRoute,
  pools: readonly HttpPool[],
  random: Random,
): ForwardRoute | undefined {
  const known = targets.flatMap(({ pool: name, model, weight }) => {
    const pool = pools.find((each) => each.name === name);
    return pool === undefined || !isServed(pool, model) ? [] : [{ pool, model, weight }];
  });
  const able = known.filter(({ pool, model }) => pool.candidatesFor(model).length > 0);
  const among = able.some(({ weight }) => weight > 0) ? able : known;
  const total = among.reduce((sum, { weight }) => sum + weight, 0);
  let point = random.unit() * total;
  for (const { pool, model, weight } of among) {
    point -= weight;
    if (point < 0) return escalate === undefined ? { pool, model } : { pool, model, escalate };
  }
  return escalate && unservedTarget(targets[0], pools, escalate);
}

/** A route that escalates has a place for its requests even while no server says that it has the model. */
function unservedTarget(
  { pool: name, model }: RouteTarget,
  pools: readonly HttpPool[],
  escalate: EscalationRule,
): ForwardRoute | undefined {
  const pool = pools.find((each) => each.name === name);
  return pool && { pool, model, escalate };
}

/** Says why nothing serves the model, and what the caller could ask for instead; at most ten names. */
function unknown({ catalog, isPredictive }: ForwardRouterOptions, model: string, caller: Caller): Failure {
  if (isPredictive(model)) {
    return failure(
      "bad_request",
      `Model ${quoted(model)} takes tensors and answers no such call; use /predict or /v2/models/${encodeURIComponent(model)}/infer`,
    );
  }
  const silent = catalog.pools().find((pool) => !pool.answered);
  if (silent !== undefined) {
    const text = `No model ${quoted(model)}; pool ${silent.name} ${whySilent(silent)}`;
    return failure("model_unavailable", text, unansweredRetryMs);
  }
  const names = catalog
    .models()
    .map(({ name }) => name)
    .filter((name) => mayUse(caller, name));
  const shown = names.slice(0, 10).join(", ") + (names.length > 10 ? ", …" : "");
  const hint = names.length === 0 ? "no pool serves any" : `served are ${shown}`;
  return failure("model_not_found", `No model ${quoted(model)}; ${hint}`);
}

/** Why nothing is known of what a pool serves. */
function whySilent({ endpoints }: HttpPool): string {
  const states = new Set(endpoints.map(({ state }) => state));
  if (states.size === 1 && states.has("misconfigured")) {
    return "refuses the gateway's requests: their credentials or dialect are not what it was told";
  }
  return states.size === 1 && states.has("unhealthy")
    ? "cannot be reached, and what it serves is not known"
    : "has not yet said what it serves";
}

/** What a tensor call for a model of a pool is answered; undefined for a model that no pool has. */
export function refuseTensors(catalog: ForwardCatalog, model: string): Failure | undefined {
  if (!catalog.pools().some((pool) => pool.endpointsFor(model).length > 0)) return undefined;
  return failure(
    "bad_request",
    `Model ${JSON.stringify(model)} takes no tensors; use /v1/chat/completions or /api/chat`,
  );
}
