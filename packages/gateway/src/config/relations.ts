/** What has to hold between keys, and what is allowed but probably not meant. */
import { enginePool } from "../contracts/llm-engine.ts";
import { isHttpPool } from "../contracts/options.ts";
import { isSameModel } from "../core/model-name.ts";
import type { CompiledConfig } from "./compiled.ts";
import { findEdgeSurprises } from "./edge-surprises.ts";
import { findEdgeContradictions } from "./edge-relations.ts";
import { findKeyContradictions } from "./key-relations.ts";
import { isHttpDefaulted, type DefaultedHttpPool, type DefaultedPool } from "./pool-schema.ts";
import type { DefaultedConfig } from "./schema.ts";
import type { Problem } from "./source.ts";
import { parseDuration, parseSize } from "./units.ts";

/** Name of the pool that local models form. */
const reservedPool = "local";

/** Contradictions between keys; each alone is valid. */
export function findContradictions(config: DefaultedConfig): Problem[] {
  const problems: Problem[] = [...samePorts(config)];
  const { limits, workers } = config;
  if ((parseSize(limits.maxBody) ?? 0) > (parseSize(limits.maxTotalBody) ?? 0)) {
    problems.push({
      path: ["limits", "maxBody"],
      message: `${limits.maxBody} is more than limits.maxTotalBody, ${limits.maxTotalBody}`,
    });
  }
  const { initial, max } = workers.backoff;
  if ((parseDuration(initial) ?? 0) > (parseDuration(max) ?? 0)) {
    problems.push({
      path: ["workers", "backoff", "initial"],
      message: `${initial} is more than workers.backoff.max, ${max}`,
    });
  }
  if (typeof config.auth === "object") {
    problems.push(...findKeyContradictions(config.auth.keys, { path: ["auth", "keys"], taken: new Set() }));
  }
  for (const [name, pool] of Object.entries(config.pools)) problems.push(...checkPool(name, pool));
  problems.push(...checkEscalations(config), ...checkRoutes(config), ...findEdgeContradictions(config.edge));
  return problems;
}

/** Each model at most once, and to another. */
function checkEscalations({ escalate }: DefaultedConfig): Problem[] {
  const seen = new Set<string>();
  const problems: Problem[] = [];
  for (const [index, { model, to }] of escalate.entries()) {
    const path = ["escalate", index];
    if (seen.has(model)) problems.push({ path: [...path, "model"], message: `${model} escalates already` });
    seen.add(model);
    if (model === to) problems.push({ path: [...path, "to"], message: "is the model itself" });
  }
  return problems;
}

/** Routes name pools of HTTP servers, each model at most once, and something has to weigh more than nothing. */
function checkRoutes(config: DefaultedConfig): Problem[] {
  const { routes } = config;
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const [index, { model, targets, escalate }] of routes.entries()) {
    const path = ["routes", index];
    if (seen.has(model)) problems.push({ path: [...path, "model"], message: `${model} has a route already` });
    seen.add(model);
    const places = targets.map(({ pool }, place) => ({ pool, at: ["targets", place, "pool"] }));
    if (escalate !== undefined) places.push({ pool: escalate.to.pool, at: ["escalate", "to", "pool"] });
    for (const { pool, at } of places) {
      const known = httpPools(config);
      if (known.includes(pool)) continue;
      const which = known.length === 0 ? "there is none" : `known are ${known.join(", ")}`;
      const what = `expected a pool that speaks openai, ollama or anthropic (${which}), got "${pool}"`;
      problems.push({ path: [...path, ...at], message: what });
    }
    problems.push(...unservedModels(config, index));
    if (targets.every(({ weight }) => weight === 0)) {
      problems.push({ path: [...path, "targets"], message: "every target has the weight 0" });
    }
  }
  return problems;
}

/** Models that a route asks pools for, which list others only. */
function unservedModels({ pools, routes }: DefaultedConfig, index: number): Problem[] {
  const { model, targets = [], escalate } = routes[index] ?? {};
  const places = targets.map((target, place) => ({ target, at: ["targets", place] }));
  if (escalate !== undefined) places.push({ target: { weight: 1, ...escalate.to }, at: ["escalate", "to"] });
  return places.flatMap(({ target, at }): Problem[] => {
    const pool = pools[target.pool];
    const asked = target.model ?? model;
    if (pool === undefined || asked === undefined || pool.models.length === 0) return [];
    const isAsked = (name: string): boolean =>
      pool.dialect === "openai" || pool.dialect === "anthropic" ? name === asked : isSameModel(name, asked);
    if (!isHttpDefaulted(pool) || pool.models.some(isAsked)) return [];
    const listed = pool.models.slice(0, maxNamed).join(", ") + (pool.models.length > maxNamed ? " …" : "");
    const message = `pools.${target.pool}.models lists ${listed}, and no ${asked}: nothing would answer`;
    return [{ path: ["routes", index, ...at, target.model === undefined ? "pool" : "model"], message }];
  });
}

/** Names that a message lists of many. */
const maxNamed = 8;

/** Servers that a pool names twice: they would be asked as two. */
function repeatedEndpoints(name: string, { endpoints }: DefaultedPool): Problem[] {
  const first = new Map<string, number>();
  return endpoints.flatMap((endpoint, index): Problem[] => {
    const same = endpoint.replace(/\/+$/, "").toLowerCase();
    const earlier = first.get(same);
    if (earlier === undefined) first.set(same, index);
    if (earlier === undefined) return [];
    return [{ path: ["pools", name, "endpoints", index], message: `is endpoints[${earlier}] again` }];
  });
}

/** Pools that a route may name: those of HTTP servers, and the engine's. */
function httpPools({ pools, models, llama }: DefaultedConfig): string[] {
  const named = Object.entries(pools).flatMap(([name, pool]) => (isHttpDefaulted(pool) ? [name] : []));
  const hasEngine = models !== false && llama !== false && !Object.hasOwn(pools, enginePool);
  return hasEngine ? [...named, enginePool] : named;
}

function checkPool(name: string, pool: DefaultedPool): Problem[] {
  const problems: Problem[] = repeatedEndpoints(name, pool);
  if (name === reservedPool) {
    problems.push({
      path: ["pools", name],
      at: "key",
      message: "this name is that of the local models; choose another",
    });
  }
  if (pool.dialect === "model-inference" && pool.models.length === 0) {
    problems.push({
      path: ["pools", name, "models"],
      at: "key",
      message: "missing: expected the models' names, which model-inference servers cannot list",
    });
  }
  if (isHttpDefaulted(pool)) return [...problems, ...checkHttpPool(name, pool)];
  if (pool.ca !== undefined && !pool.endpoints.some((endpoint) => endpoint.startsWith("grpcs:"))) {
    problems.push({
      path: ["pools", name, "ca"],
      at: "key",
      message: "says whom to trust with TLS, but no endpoint starts with grpcs://",
    });
  }
  return problems;
}

function checkHttpPool(name: string, pool: DefaultedHttpPool): Problem[] {
  const path = ["pools", name];
  const problems: Problem[] = [];
  const listed = [pool.endpointsFile, pool.discovery, pool.pickerConfig].every((each) => each === undefined);
  if (listed && pool.endpoints.length === 0) {
    const message = "missing: expected a list of addresses, or endpointsFile";
    problems.push({ path: [...path, "endpoints"], at: "key", message });
  }
  const secure = pool.endpoints.some((endpoint) => endpoint.startsWith("https:"));
  for (const key of ["ca", "serverName"] as const) {
    if (pool[key] === undefined || secure || !listed) continue;
    const message = "is about TLS, but no endpoint starts with https://";
    problems.push({ path: [...path, key], at: "key", message });
  }
  if (pool.credentialsHeader !== undefined && pool.credentials === undefined) {
    const message = "names a header for credentials, but there are none";
    problems.push({ path: [...path, "credentialsHeader"], at: "key", message });
  }
  const { initial, max } = pool.health.backoff;
  if ((parseDuration(initial) ?? 0) > (parseDuration(max) ?? 0)) {
    problems.push({
      path: [...path, "health", "backoff", "initial"],
      message: `${initial} is more than health.backoff.max, ${max}`,
    });
  }
  return problems;
}

/** Two listeners of one address and port; port 0 is a different one each time. */
function samePorts({ listen, grpc, extProc }: DefaultedConfig): Problem[] {
  const taken = new Map<string, string>();
  const problems: Problem[] = [];
  const take = (path: readonly PropertyKey[], label: string, address: { port: number; host: string }) => {
    if (address.port === 0) return;
    const key = `${address.host} port ${address.port}`;
    const by = taken.get(key);
    if (by === undefined) taken.set(key, label);
    else problems.push({ path: [...path, "port"], message: `${key} is already that of ${by}` });
  };
  for (const [index, each] of (listen ?? []).entries()) take(["listen", index], `listen[${index}]`, each);
  if (grpc !== false) take(["grpc"], "grpc", grpc);
  if (extProc === undefined || extProc === false) return problems;
  const { host, healthPort } = extProc;
  take(["extProc"], "extProc", extProc);
  if (healthPort !== false) take(["extProc"], "extProc.healthPort", { host, port: healthPort });
  return problems;
}

/** Sentences about what is valid and perhaps a surprise. */
export function findSurprises(config: CompiledConfig): string[] {
  const notes: string[] = [...config.notes];
  const doors = [...config.http, ...(config.grpc === undefined ? [] : [config.grpc])];
  const open = doors.find(({ host }) => !isLoopback(host));
  if (open !== undefined && config.access.mode === "loopback") {
    notes.push(
      `${open.host} can be reached from elsewhere, but only callers on this machine are answered; keys ("spillway keys create") let others in, "auth: none" in the configuration lets everybody infer`,
    );
  }
  if (
    config.access.mode === "keys" &&
    doors.some((door) => !isLoopback(door.host) && door.tls === undefined)
  ) {
    notes.push(
      "keys travel in plain text: give every listener that others reach a certificate (tls), or put TLS in front",
    );
  }
  const servesNothing = config.repository === undefined && config.pools.length === 0 && !config.discovery;
  if (servesNothing && config.edge === undefined) {
    notes.push("nothing will be served: models is false and there are no pools");
  }
  const camera = config.http.find(({ edge }) => edge === true);
  if (camera !== undefined && config.edge === undefined) {
    notes.push(
      `port ${camera.port} is for cameras (edge: true), but there is no "edge" in the configuration: image queries are not answered; "edge: {}" answers them`,
    );
  }
  notes.push(...sharedModels(config), ...findEdgeSurprises(config.edge));
  return notes;
}

/** Models that several pools are configured to serve, and that no route decides about. */
function sharedModels({ pools, routes }: CompiledConfig): string[] {
  const routed = new Set(routes.map(({ model }) => model));
  const holders = new Map<string, string[]>();
  for (const pool of pools.filter(isHttpPool)) {
    for (const model of new Set(pool.models)) holders.set(model, [...(holders.get(model) ?? []), pool.name]);
  }
  const shared = [...holders].filter(([model, names]) => names.length > 1 && !routed.has(model));
  return shared.map(([model, names]) => {
    return `model ${model} is in the pools ${names.join(" and ")}; without a route requests go to ${names[0] ?? ""}, the first in the file`;
  });
}

/** True for an address that only this machine reaches. */
function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
