/**
 * Who may call a gateway that has no credentials configured: programs on this machine, and nobody
 * through a web page's back. With `none` everyone may infer and see the status, nobody may administer.
 *
 * A page on the web can make a browser send requests to a port of this machine, and can let a name of
 * its own resolve to 127.0.0.1 (DNS rebinding, CVE-2024-28224): so the `Host` that the caller believes
 * to speak to and the `Origin` that a browser adds are checked, not only the address.
 */
import type { AccessOptions } from "../../contracts/options.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { headerValue } from "../../core/headers.ts";
import type { Caller, RequestHead, Scope } from "../../core/request.ts";

const local: Caller = { id: "local", scopes: ["infer", "status", "admin"] };
const anonymous: Caller = { id: "anonymous", scopes: ["infer", "status"] };

/** Addresses that were judged, kept to spare the parsing; cleared when full. */
const maxKnownAddresses = 10_000;

/** The admission stage. */
export function createAdmission(access: AccessOptions): (head: RequestHead) => Caller | Failure {
  const hosts = new Set(access.hosts.map((host) => host.toLowerCase()));
  const origins = new Set(access.origins);
  const known = new Map<string, boolean>();
  const isLocal = (address: string): boolean => {
    let answer = known.get(address);
    if (answer !== undefined) return answer;
    answer = isLoopbackAddress(address);
    if (known.size >= maxKnownAddresses) known.clear();
    known.set(address, answer);
    return answer;
  };
  return (head) => {
    const origin = headerValue(head.headers, "origin");
    if (origin !== undefined && !origins.has(origin) && !isOwnOrigin(origin, head))
      return foreignOrigin(origin);
    if (access.mode === "none") return withScope(anonymous, head.scope);
    if (!isLocal(head.remoteAddress)) return strangerRefused(head.remoteAddress);
    const host = headerValue(head.headers, "host");
    if (host !== undefined && !isLocalHost(host) && !isListed(host, hosts)) return foreignHost(host);
    return withScope(local, head.scope);
  };
}

function withScope(caller: Caller, scope: Scope): Caller | Failure {
  if (caller.scopes.includes(scope)) return caller;
  return failure(
    "forbidden",
    `This call needs the scope ${scope}; without credentials there is ${caller.scopes.join(" and ")}`,
  );
}

/** 127.0.0.0/8, ::1, and the first mapped into IPv6; `unix` for a Unix socket. */
export function isLoopbackAddress(address: string): boolean {
  const plain = address.startsWith("::ffff:") ? address.slice(7) : address;
  return plain === "::1" || plain === "unix" || /^127(\.\d{1,3}){3}$/.test(plain);
}

/** A `Host` header that names this machine: localhost, *.localhost, or a loopback address, with or without a port. */
function isLocalHost(host: string): boolean {
  const name = hostName(host);
  return name === "localhost" || name.endsWith(".localhost") || isLoopbackAddress(name);
}

function isListed(host: string, hosts: ReadonlySet<string>): boolean {
  return hosts.has(host.toLowerCase()) || hosts.has(hostName(host));
}

/** The name without port and brackets, in lower case. */
function hostName(host: string): string {
  const lower = host.toLowerCase();
  if (lower.startsWith("[")) return lower.slice(1, Math.max(1, lower.indexOf("]")));
  const colon = lower.lastIndexOf(":");
  return colon < 0 ? lower : lower.slice(0, colon);
}

/** A page that this gateway itself served. */
function isOwnOrigin(origin: string, head: RequestHead): boolean {
  const host = headerValue(head.headers, "host");
  return (
    host !== undefined && isLocalHost(host) && (origin === `http://${host}` || origin === `https://${host}`)
  );
}

function foreignOrigin(origin: string): Failure {
  return failure(
    "forbidden",
    `Web pages of ${printable(origin)} may not call; list the origin under cors.origins to allow them`,
  );
}

function foreignHost(host: string): Failure {
  return failure(
    "forbidden",
    `Host ${printable(host)} is not a name of this machine; list it under hosts to allow it`,
  );
}

function strangerRefused(address: string): Failure {
  const how = 'say "auth: none" in spillway.yaml to let everyone infer and see the status';
  return failure(
    "forbidden",
    `Only this machine may call while no credentials are configured, not ${address}; ${how}`,
  );
}

function printable(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
