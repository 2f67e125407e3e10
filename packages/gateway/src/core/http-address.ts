/** Addresses of HTTP servers as people write them. */
import { GatewayError } from "./errors.ts";

/** A server's address as written in the configuration or an endpoints file. */
export interface HttpAddress {
  /** As written. */
  readonly url: string;
  /** `http://host:port` or `https://host:port`; for a Unix socket `http://localhost`. */
  readonly origin: string;
  /** Empty, or with a leading and without a closing slash. A closing `/v1`, which every request brings itself, is left out. */
  readonly basePath: string;
  /** A DNS name, or an IP address without brackets; undefined for a Unix socket. */
  readonly host: string | undefined;
  readonly port: number;
  readonly socketPath: string | undefined;
}

/** Longest path of a Unix socket, bytes. */
const maxSocketPath = 107;

/** Reads an address; undefined for what is none. */
export function readHttpAddress(text: string): HttpAddress | undefined {
  if (text.startsWith("unix:")) return readSocketAddress(text);
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === "") return undefined;
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") return undefined;
  const usual = url.protocol === "https:" ? 443 : 80;
  return {
    url: text,
    origin: url.origin,
    basePath: url.pathname.replace(/\/+$/, "").replace(/\/v1$/, ""),
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? usual : Number(url.port),
    socketPath: undefined,
  };
}

function readSocketAddress(text: string): HttpAddress | undefined {
  const socketPath = text.slice("unix:".length).replace(/^\/\//, "");
  const fits = socketPath.startsWith("/") && Buffer.byteLength(socketPath) <= maxSocketPath;
  if (!fits || socketPath.includes("\0")) return undefined;
  return { url: text, origin: "http://localhost", basePath: "", host: undefined, port: 0, socketPath };
}

/** Reads an address. Throws a `GatewayError` that shows what was expected. */
export function parseHttpAddress(text: string): HttpAddress {
  const address = readHttpAddress(text);
  if (address !== undefined) return address;
  throw new GatewayError("internal", `Expected http://host:port, https://host or unix:/path, got ${text}`);
}
