/** Where the servers of a pool are: names as written in the configuration, and the addresses behind them. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { GatewayError } from "../core/errors.ts";

/** `grpc://host:port` is plain, `grpcs://host:port` is TLS. */
export interface RemoteName {
  /** As written. */
  readonly url: string;
  /** A DNS name, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly security: "plain" | "tls";
}

/** Finds the IP addresses of a name. Rejects when there are none or they cannot be found out. */
export type ResolveHost = (host: string) => Promise<readonly string[]>;

/** Reads an endpoint of a pool. Throws a `GatewayError` that shows what was expected. */
export function parseRemoteName(url: string): RemoteName {
  const match = /^(grpcs?):\/\/(?:\[([0-9a-fA-F:.%]+)\]|([^:/?#@[\]]+)):(\d{1,5})\/?$/.exec(url);
  const host = match?.[2] ?? match?.[3];
  const port = Number(match?.[4] ?? 0);
  if (match === null || host === undefined || port < 1 || port > 65_535) {
    throw new GatewayError("internal", `Expected grpc://host:port or grpcs://host:port, got ${url}`);
  }
  return { url, host, port, security: match[1] === "grpcs" ? "tls" : "plain" };
}

/** True for a host that is an address already. */
export function isAddress(host: string): boolean {
  return isIP(host.replace(/%.*$/, "")) !== 0;
}

/** `10.0.0.5:50051`, `[::1]:50051`. */
export function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * The system's resolver, hosts file included. Addresses of one family, IPv4 where there are any: a
 * server that has one of each is one server.
 */
export async function resolveHost(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true, order: "ipv4first" });
  const family = found[0]?.family;
  return found.filter((entry) => entry.family === family).map((entry) => entry.address);
}
