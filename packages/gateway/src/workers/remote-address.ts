/** Where the servers of a pool are: names as written in the configuration, and the addresses behind them. */
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
