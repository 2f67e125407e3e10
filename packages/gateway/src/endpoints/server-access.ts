/** What a connection to one server of a pool is told. */
import { readFileSync } from "node:fs";
import type { ServerAccess } from "../contracts/connection.ts";
import type { HttpPoolOptions } from "../contracts/options.ts";
import type { MetricsSourceSpec } from "../contracts/plugins/data.ts";
import type { ChatDialect } from "../core/forward.ts";
import { GatewayError } from "../core/errors.ts";
import type { HeaderList } from "../core/headers.ts";
import type { HttpAddress } from "../core/http-address.ts";

/** Credentials, headers and authorities of a pool, read from where they lie. */
export interface PoolAccess {
  readonly headers: HeaderList;
  readonly ca: string | undefined;
  /** Where metrics are read that have something of their own. */
  readonly metrics?: MetricsAccess | undefined;
}

/** What is shown and trusted where metrics are read. */
interface MetricsAccess {
  readonly ca: string | undefined;
  readonly clientCertificate: { readonly cert: string; readonly key: string } | undefined;
}

/** Reads them. Throws a `GatewayError` that names the file that cannot be read, and never what it holds. */
export function readPoolAccess(pool: HttpPoolOptions): PoolAccess {
  const read = (what: string) => (path: string) => readText(pool.name, what, path);
  const headers = pool.headers.map(([name, value]) => [name, value.reveal(read(`header ${name}`))] as const);
  const credentials = pool.credentials?.reveal(read("credentials"));
  if (credentials !== undefined) headers.push(credentialHeader(pool, credentials));
  const ca = pool.ca === undefined ? undefined : read("certificate authority")(pool.ca);
  const source = pool.data?.metrics;
  const metrics = source === undefined ? undefined : readMetricsAccess(source, read);
  return { headers: headers.filter(([, value]) => isHeaderValue(pool.name, value)), ca, metrics };
}

function readMetricsAccess(
  { ca, clientCert, clientKey }: MetricsSourceSpec,
  read: (what: string) => (path: string) => string,
): MetricsAccess {
  return {
    ca: ca === undefined ? undefined : read("certificate authority of its metrics")(ca),
    clientCertificate:
      clientCert === undefined || clientKey === undefined
        ? undefined
        : {
            cert: read("certificate for its metrics")(clientCert),
            key: read("key for its metrics")(clientKey),
          },
  };
}

/** How each dialect carries a key. `auto` pools send it as OpenAI's: a key for Anthropic needs its dialect named. */
function credentialHeader(
  { credentialsHeader, dialect }: HttpPoolOptions,
  credentials: string,
): readonly [string, string] {
  if (credentialsHeader !== undefined) return [credentialsHeader, credentials];
  const named: ChatDialect | "auto" = dialect;
  return named === "anthropic" ? ["x-api-key", credentials] : ["authorization", `Bearer ${credentials}`];
}

function isHeaderValue(pool: string, value: string): boolean {
  if (/^[\x20-\x7e]*$/.test(value)) return true;
  throw new GatewayError(
    "internal",
    `Pool ${pool}: a secret from a file has line ends or other control characters`,
  );
}

function readText(pool: string, what: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError("internal", `Pool ${pool}: ${what} cannot be read: ${text}`, { cause });
  }
}

/** The access to one of an address's servers. `ip` is undefined where the host is one already, or a socket. */
export function serverAccess(
  pool: HttpPoolOptions,
  { headers, ca }: PoolAccess,
  address: HttpAddress,
  ip: string | undefined,
): ServerAccess {
  const { origin, basePath, socketPath } = address;
  const { serverName, connectTimeoutMs } = pool;
  return { origin, basePath, socketPath, address: ip, headers, ca, serverName, connectTimeoutMs };
}

/**
 * The access to a server's metrics. The pool's headers, which hold its credentials, go along only where that is the
 * server's own address.
 */
export function metricsAccess(
  server: ServerAccess,
  { metrics }: PoolAccess,
  { scheme, port, insecureSkipVerify }: MetricsSourceSpec,
): ServerAccess {
  const url = new URL(server.origin);
  // Setting `protocol` drops a port that is the usual one of the new scheme, so it is put together by hand.
  const usual = url.protocol === "https:" ? 443 : 80;
  const wanted = scheme ?? url.protocol.slice(0, -1);
  const origin = new URL(`${wanted}://${url.hostname}:${port ?? (url.port || usual)}`).origin;
  const isSame = origin === server.origin;
  return {
    ...server,
    origin,
    headers: isSame ? server.headers : [],
    basePath: port === undefined ? server.basePath : "",
    ca: metrics?.ca ?? server.ca,
    clientCertificate: metrics?.clientCertificate,
    insecure: insecureSkipVerify,
  };
}
