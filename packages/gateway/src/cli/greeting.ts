/** The first lines that `spillway serve` prints for people. */
import { isAbsolute, relative } from "node:path";
import { isHttpPool, type PoolOptions } from "../contracts/options.ts";
import { findSurprises, type CompiledConfig } from "../config/index.ts";
import type { Logger } from "../contracts/telemetry.ts";

/** An address; `secure`: with TLS. */
export interface ListenedAddress {
  readonly host: string;
  readonly port: number;
  readonly secure?: boolean;
  /** For cameras. */
  readonly edge?: boolean;
}

/** Addresses that are listened on. */
export interface Addresses {
  readonly http: readonly ListenedAddress[];
  readonly grpc: ListenedAddress | undefined;
  /** Where Envoy asks. */
  readonly extProc?: (ListenedAddress & { readonly healthPort: number | undefined }) | undefined;
}

/** For machines: a log line an address. */
export function announceAddresses({ http, grpc, extProc }: Addresses, logger: Logger, version: string): void {
  for (const { host, port, edge } of http) {
    logger.info("listening", { door: "http", host, port, version, ...(edge === true && { edge }) });
  }
  if (grpc !== undefined)
    logger.info("listening", { door: "grpc", host: grpc.host, port: grpc.port, version });
  if (extProc === undefined) return;
  const { host, port, healthPort } = extProc;
  logger.info("listening", { door: "extproc", host, port, healthPort, version });
}

/** What the greeting tells of. */
export interface GreetingContext {
  readonly config: CompiledConfig;
  /** Undefined: built in. */
  readonly file: string | undefined;
  readonly version: string;
  readonly listening: Addresses;
  readonly workingDirectory: string;
}

/** Version, addresses, where configuration and models come from, and what may surprise. */
export function greet({ config, file, version, listening, workingDirectory }: GreetingContext): string {
  const lines = [`Spillway ${version}`, ""];
  for (const address of listening.http)
    lines.push(
      `  http    ${httpUrl(address)}${address.edge === true && config.edge !== undefined ? " for cameras" : ""}`,
    );
  if (listening.grpc !== undefined) lines.push(`  grpc    ${hostPort(listening.grpc)}`);
  if (listening.extProc !== undefined) lines.push(`  envoy   ${describeExtProc(listening.extProc)}`);
  if (file !== undefined) lines.push(`  config  ${file}`);
  const { repository, pools } = config;
  if (repository !== undefined) lines.push(`  models  ${shortPath(repository.directory, workingDirectory)}`);
  if (config.edge !== undefined)
    lines.push(`  edge    ${config.edge.cloud?.origin ?? "no cloud: everything is answered here"}`);
  for (const pool of pools) lines.push(`  pool    ${pool.name}: ${placesOf(pool).join(", ")}`);
  for (const { port } of config.http.filter(
    ({ port, optional }) => optional === true && !isOpen(port, listening),
  ))
    lines.push(
      `  note    port ${port} for cameras is taken by another program; they are answered on the others`,
    );
  for (const note of findSurprises(config)) lines.push(`  note    ${note}`);
  return `${lines.join("\n")}\n\n`;
}

function hostPort({ host, port, secure }: ListenedAddress): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}${secure === true ? " with TLS" : ""}`;
}

/** The door that Envoy asks. */
export function describeExtProc(address: NonNullable<Addresses["extProc"]>): string {
  const { healthPort } = address;
  return `ext_proc ${hostPort(address)}${healthPort === undefined ? "" : `, health on port ${healthPort}`}`;
}

function isOpen(port: number, { http }: Addresses): boolean {
  return http.some((address) => address.port === port);
}

/** Where a pool's servers are, as the configuration says it. */
export function placesOf(pool: PoolOptions): readonly string[] {
  if (!isHttpPool(pool)) return pool.endpoints;
  const { endpoints, endpointsFile, data } = pool;
  const places = [...endpoints];
  if (endpointsFile !== undefined) places.push(`those of ${endpointsFile}`);
  if (data?.discovery !== undefined) places.push(`found by ${data.discovery.type}`);
  return places;
}

/** A URL that works on this machine. */
export function httpUrl({ host, port, secure = false }: ListenedAddress): string {
  const scheme = secure ? "https" : "http";
  if (["127.0.0.1", "0.0.0.0", "::", "::1", "localhost"].includes(host))
    return `${scheme}://localhost:${port}`;
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Relative to the working folder where it lies in there. */
export function shortPath(path: string, workingDirectory: string): string {
  const fromHere = relative(workingDirectory, path);
  return fromHere.startsWith("..") || isAbsolute(fromHere) ? path : `./${fromHere}`;
}
