/** What another configuration changes of a gateway that runs. Loaded when the first one comes. */
import type { AccessOptions, DoorOptions, ExtProcOptions } from "../contracts/options.ts";
import { canonical } from "./canonical.ts";
import type { ReadConfig, TakenConfig } from "./config-source.ts";

/** What is to be done about a configuration. */
export interface ReloadPlan extends TakenConfig {
  /** The configuration that runs once it is done: the new one, but for what waits for a restart. */
  readonly config: ReadConfig;
}

type Part = (config: ReadConfig) => unknown;

/** By key of the file: what takes effect for new requests. */
const live: Readonly<Record<string, Part>> = {
  auth: ({ access }) => [access.mode, access.keys, access.keysFile],
  hosts: ({ access }) => access.hosts,
  cors: ({ access }) => access.origins,
  requests: ({ traits }) => traits,
  routes: ({ routes }) => routes,
  rules: ({ rules }) => rules,
  escalate: ({ escalate }) => escalate,
  plugins: ({ pluginFiles }) => pluginFiles ?? [],
  "log.level": ({ log }) => log?.level,
};

/** By key of the file: what belongs to sockets, processes and folders that are made at the start. */
const fixed: Readonly<Record<string, Part>> = {
  listen: ({ http }) => http.map(withoutBounds),
  grpc: ({ grpc }) => grpc && withoutBounds(grpc),
  extProc: ({ extProc }) => extProc && withoutBounds(extProc),
  limits: ({ http: [door], extProc = door }) => extProc && boundsOf(door ?? extProc),
  flow: ({ flow }) => flow,
  models: ({ repository }) => repository,
  workers: ({ workers }) => workers,
  llama: ({ llama }) => llama,
  edge: ({ edge }) => edge,
  predict: ({ predict }) => predict,
  monitoring: ({ monitoring }) => monitoring,
  discovery: ({ discovery }) => discovery,
  "log.format": ({ log }) => log?.format,
};

/** Compares by meaning: the order of keys and comments make no difference. */
export function planReload(current: ReadConfig, next: ReadConfig): ReloadPlan {
  const waiting = differing(fixed, current, next);
  const opens = waiting.some((name) => ["listen", "grpc", "extProc"].includes(name));
  const { access, held } = settleAccess(current.access, next.access, opens);
  const { pools, routes, traits, rules, escalate, plugins, pluginFiles, namedFiles, notes, log } = next;
  const config: ReadConfig = {
    ...current,
    access,
    pools,
    routes,
    traits,
    rules,
    escalate,
    plugins,
    pluginFiles: pluginFiles ?? [],
    namedFiles: namedFiles ?? [],
    notes,
    ...(log !== undefined && { log: { level: log.level, format: current.log?.format ?? log.format } }),
  };
  return { config, changed: differing(live, current, config), waiting: [...waiting, ...held] };
}

/**
 * Who may call was decided for the addresses that are listened on: where these wait for a restart, it waits with them, so
 * that what is open to the machine alone is not open to the network for a while. Keys are taken all the same.
 */
function settleAccess(
  current: AccessOptions,
  next: AccessOptions,
  waits: boolean,
): { readonly access: AccessOptions; readonly held: readonly string[] } {
  if (!waits) return { access: next, held: [] };
  const held: string[] = [];
  if (current.mode !== next.mode) held.push("auth");
  if (canonical(current.hosts) !== canonical(next.hosts)) held.push("hosts");
  if (canonical(current.origins) !== canonical(next.origins)) held.push("cors");
  const { keys, keysFile } = current.mode === next.mode ? next : current;
  return { access: { ...current, keys, keysFile }, held };
}

function differing(
  parts: Readonly<Record<string, Part>>,
  current: ReadConfig,
  next: ReadConfig,
): readonly string[] {
  return Object.entries(parts).flatMap(([name, part]) =>
    canonical(part(current)) === canonical(part(next)) ? [] : [name],
  );
}

function withoutBounds<Door extends DoorOptions | ExtProcOptions>(door: Door): object {
  const names: ReadonlySet<string> = new Set(Object.keys(boundsOf(door)));
  return Object.fromEntries(Object.entries(door).filter(([name]) => !names.has(name)));
}

/** What `limits` says of a door. */
function boundsOf(door: DoorOptions | ExtProcOptions) {
  const { maxConnections, maxBodyBytes, maxTotalBodyBytes } = door;
  const receiveTimeoutMs = "receiveTimeoutMs" in door ? door.receiveTimeoutMs : undefined;
  return { maxConnections, maxBodyBytes, maxTotalBodyBytes, receiveTimeoutMs };
}
