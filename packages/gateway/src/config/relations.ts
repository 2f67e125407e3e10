/** What has to hold between keys, and what is allowed but probably not meant. */
import type { CompiledConfig } from "./compiled.ts";
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
  for (const [name, pool] of Object.entries(config.pools)) problems.push(...checkPool(name, pool));
  return problems;
}

function checkPool(name: string, pool: DefaultedConfig["pools"][string]): Problem[] {
  const problems: Problem[] = [];
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
  if (pool.ca !== undefined && !pool.endpoints.some((endpoint) => endpoint.startsWith("grpcs:"))) {
    problems.push({
      path: ["pools", name, "ca"],
      at: "key",
      message: "says whom to trust with TLS, but no endpoint starts with grpcs://",
    });
  }
  return problems;
}

/** Two listeners of one address and port; port 0 is a different one each time. */
function samePorts({ listen, grpc }: DefaultedConfig): Problem[] {
  const taken = new Map<string, string>();
  const problems: Problem[] = [];
  const take = (path: readonly PropertyKey[], label: string, address: { port: number; host: string }) => {
    if (address.port === 0) return;
    const key = `${address.host} port ${address.port}`;
    const by = taken.get(key);
    if (by === undefined) taken.set(key, label);
    else problems.push({ path: [...path, "port"], message: `${key} is already that of ${by}` });
  };
  for (const [index, each] of listen.entries()) take(["listen", index], `listen[${index}]`, each);
  if (grpc !== false) take(["grpc"], "grpc", grpc);
  return problems;
}

/** Sentences about what is valid and perhaps a surprise. */
export function findSurprises(config: CompiledConfig): string[] {
  const notes: string[] = [];
  const doors = [...config.http, ...(config.grpc === undefined ? [] : [config.grpc])];
  const open = doors.find(({ host }) => !isLoopback(host));
  if (open !== undefined && config.access.mode === "loopback") {
    notes.push(
      `${open.host} can be reached from elsewhere, but only callers on this machine are answered; "auth: none" in the configuration lets everybody infer`,
    );
  }
  if (config.repository === undefined && config.pools.length === 0) {
    notes.push("nothing will be served: models is false and there are no pools");
  }
  return notes;
}

/** True for an address that only this machine reaches. */
function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
