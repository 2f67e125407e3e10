/** From host names to addresses. */
import { lookup } from "node:dns/promises";

/** Finds the IP addresses of a name. Rejects when there are none or they cannot be found out. */
export type ResolveHost = (host: string) => Promise<readonly string[]>;

/** `10.0.0.5:8000`, `[::1]:8000`. */
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
