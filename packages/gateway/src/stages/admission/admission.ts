/**
 * Who may call. With keys: whoever has one. Without: programs on this machine, and nobody through a
 * web page's back. With `none` everyone may infer and see the status, nobody may administer.
 *
 * A page on the web can make a browser send requests to a port of this machine, and can let a name of
 * its own resolve to 127.0.0.1 (DNS rebinding, CVE-2024-28224): so the `Host` that the caller believes
 * to speak to and the `Origin` that a browser adds are checked, not only the address.
 */
import type { AccessOptions } from "../../contracts/options.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { headerValue } from "../../core/headers.ts";
import type { Caller, RequestHead } from "../../core/request.ts";
import type { KeyRing } from "./key-ring.ts";
import { isLoopbackAddress, isLoopbackHost, hostName } from "./loopback.ts";

const local: Caller = { id: "local", scopes: ["infer", "status", "admin"] };
const anonymous: Caller = { id: "anonymous", scopes: ["infer", "status"] };
/** Asks for health where keys are needed for everything else. */
const passerBy: Caller = { id: "anonymous", scopes: [] };

/** Texts of requests that were found good, kept to spare the parsing; each kind is cleared when full. */
const maxKnown = 1_024;

/** The admission stage. `keys` is asked under `keys` only. */
export function createAdmission(
  access: Pick<AccessOptions, "mode" | "hosts" | "origins">,
  keys: KeyRing,
): (head: RequestHead) => Caller | Failure {
  switch (access.mode) {
    case "none":
      return (head) => withScope(anonymous, head);
    case "keys":
      return (head) => admitByKey(keys, head);
    case "loopback": {
      const gate = new LoopbackGate(access);
      // Envoy has let the caller in: its address and the names it uses are not this machine's.
      return (head) =>
        head.door === "extproc" ? withScope(anonymous, head) : (gate.refusal(head) ?? withScope(local, head));
    }
  }
}

/** A page in a browser cannot know a key: whoever sends one is asked for neither `Host` nor `Origin`. */
function admitByKey(keys: KeyRing, head: RequestHead): Caller | Failure {
  if (head.scope === "open") return passerBy;
  const caller = keys.verify(head.headers);
  if (isFailure(caller)) return caller;
  const refusal = caller.meter.admit() ?? withScope(caller, head);
  if (!isFailure(refusal)) return refusal;
  if (refusal.code === "forbidden") caller.meter.forbidden("scope");
  return { ...refusal, headers: caller.meter.headers() };
}

function withScope(caller: Caller, { scope }: RequestHead): Caller | Failure {
  if (scope === "open" || scope === "any" || caller.scopes.includes(scope)) return caller;
  const scopes = caller.scopes.join(" and ");
  const has =
    caller.meter === undefined
      ? `without credentials there is ${scopes}`
      : `the key ${caller.id} has ${scopes}`;
  return failure("forbidden", `This call needs the scope ${scope}; ${has}`);
}

/** Lets in what comes from this machine and knows it. */
class LoopbackGate {
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;
  readonly #goodAddresses = new Set<string>();
  readonly #goodHosts = new Set<string>();

  constructor({ hosts, origins }: Pick<AccessOptions, "hosts" | "origins">) {
    this.#hosts = new Set(hosts.map((host) => host.toLowerCase()));
    this.#origins = new Set(origins);
  }

  refusal({ headers, remoteAddress }: RequestHead): Failure | undefined {
    if (!this.#isGood(remoteAddress, this.#goodAddresses, isLoopbackAddress)) return stranger(remoteAddress);
    const host = headerValue(headers, "host");
    if (host !== undefined && !this.#isGood(host, this.#goodHosts, (text) => this.#isOwnHost(text))) {
      return foreignHost(host);
    }
    const origin = headerValue(headers, "origin");
    if (origin === undefined || this.#origins.has(origin) || isSameOrigin(origin, host)) return undefined;
    return foreignOrigin(origin);
  }

  #isGood(text: string, good: Set<string>, check: (text: string) => boolean): boolean {
    if (good.has(text)) return true;
    if (!check(text)) return false;
    if (good.size >= maxKnown) good.clear();
    good.add(text);
    return true;
  }

  #isOwnHost(host: string): boolean {
    return isLoopbackHost(host) || this.#hosts.has(host.toLowerCase()) || this.#hosts.has(hostName(host));
  }
}

/** A page that this gateway itself served. The host is known to be good. */
function isSameOrigin(origin: string, host: string | undefined): boolean {
  return host !== undefined && (origin === `http://${host}` || origin === `https://${host}`);
}

function stranger(address: string): Failure {
  return failure(
    "forbidden",
    `Only callers on the gateway's own machine are let in while no credentials are configured, not ${address}. ` +
      'To let everyone infer and see the status, say "auth: none" in its configuration',
  );
}

function foreignHost(host: string): Failure {
  return failure(
    "forbidden",
    `Host ${quoted(host)} is not a name of the gateway's own machine. To allow it, list it under "hosts" in the configuration`,
  );
}

function foreignOrigin(origin: string): Failure {
  return failure(
    "forbidden",
    `Web pages of ${quoted(origin)} may not call. To allow them, list the origin under "cors.origins" in the configuration`,
  );
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
