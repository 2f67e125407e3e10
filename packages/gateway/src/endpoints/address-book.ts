/** The addresses of a pool's servers: those of the configuration and of its file, names resolved again and again. */
import { isIP } from "node:net";
import type { DiscoveredEndpoint } from "../contracts/plugins/data.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { parseHttpAddress, type HttpAddress } from "../core/http-address.ts";
import { formatAddress, type ResolveHost } from "../core/resolve-host.ts";
import { readEndpointsFile, type EndpointsFile } from "./endpoints-file.ts";
import type { EndpointPlace } from "./server-endpoint.ts";

/** One server. */
export interface PlacedAddress {
  /** Tells servers apart: the same address twice is one server. */
  readonly key: string;
  /** For people: `10.0.0.5:8000`, `[::1]:8000`, the path of a socket. */
  readonly label: string;
  readonly address: HttpAddress;
  /** Undefined where nothing had to be looked up. */
  readonly ip: string | undefined;
  /** What a discovery says of it. */
  readonly place?: EndpointPlace;
}

/** What an address book needs. */
export interface AddressBookOptions {
  readonly pool: string;
  readonly endpoints: readonly string[];
  readonly file: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly resolve: ResolveHost;
  /** How often names are resolved, ms. */
  readonly resolveMs: number;
  /** How often the file is looked at, ms. */
  readonly fileMs: number;
  /** Called with all servers when they are known for the first time and whenever they have changed. */
  readonly onChange: (servers: readonly PlacedAddress[]) => void;
}

/** Servers of one pool; further addresses are left out. */
const maxServers = 1_024;

/** Keeps the list of servers. */
export class AddressBook {
  readonly #options: AddressBookOptions;
  #configured: readonly HttpAddress[];
  #file: EndpointsFile = { addresses: [], text: undefined };
  #fileProblem: string | undefined;
  #discovered: readonly PlacedAddress[] = [];
  /** By host name: what it was last resolved to. */
  readonly #found = new Map<string, readonly string[]>();
  /** Names that could not be resolved at the last look, and why. */
  readonly #unresolved = new Map<string, string>();
  readonly #timers = new Set<Timer>();
  #shown = "";
  #state: "new" | "open" | "closed" = "new";

  /** Throws a `GatewayError` for an address that cannot be read. */
  constructor(options: AddressBookOptions) {
    this.#options = options;
    this.#configured = options.endpoints.map(parseHttpAddress);
  }

  /** Resolves once every name was looked up and the file read, however that went. Never rejects. */
  async start(): Promise<void> {
    if (this.#state !== "new") return;
    this.#state = "open";
    await this.#readFile();
    await this.#resolveAll();
  }

  /** Other endpoints than those it was made with; addresses only, no names. */
  setEndpoints(endpoints: readonly string[]): void {
    this.#configured = endpoints.map(parseHttpAddress);
    this.#publish();
  }

  /** All that a discovery has found, beside what is configured. */
  setDiscovered(endpoints: readonly DiscoveredEndpoint[]): void {
    this.#discovered = endpoints.map(placeDiscovered);
    this.#publish();
  }

  /** Idempotent. */
  close(): void {
    this.#state = "closed";
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  #again(delayMs: number, action: () => Promise<void>): void {
    if (this.#state !== "open") return;
    const timer = this.#options.clock.after(delayMs, () => {
      this.#timers.delete(timer);
      void action();
    });
    this.#timers.add(timer);
  }

  async #readFile(): Promise<void> {
    const { file, pool, logger, fileMs } = this.#options;
    if (file === undefined) return;
    const result = await readEndpointsFile(file, this.#file.text);
    if (typeof result === "string") {
      // What was good stays; the same complaint is made once.
      if (result !== this.#fileProblem)
        logger.warn("endpoints_file_unusable", { pool, file, reason: result });
      this.#fileProblem = result;
    } else {
      if (this.#fileProblem !== undefined) logger.warn("endpoints_file_usable", { pool, file });
      this.#fileProblem = undefined;
    }
    if (typeof result === "object") {
      this.#file = result;
      const isNew = this.#names().filter((host) => !this.#found.has(host));
      await Promise.all(isNew.map((host) => this.#resolve(host)));
      this.#publish();
    }
    this.#again(fileMs, () => this.#readFile());
  }

  async #resolveAll(): Promise<void> {
    await Promise.all(this.#names().map((host) => this.#resolve(host)));
    this.#publish();
    this.#again(this.#options.resolveMs, () => this.#resolveAll());
  }

  /** Names that cannot be resolved keep the addresses they had: a resolver that is down takes no server away. */
  async #resolve(host: string): Promise<void> {
    const { pool, logger, resolve } = this.#options;
    try {
      this.#found.set(host, await resolve(host));
      if (this.#unresolved.delete(host)) logger.warn("pool_name_resolved", { pool, host });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // Once for each reason, not at every look.
      if (this.#unresolved.get(host) !== reason) logger.warn("pool_name_unresolved", { pool, host, reason });
      this.#unresolved.set(host, reason);
      if (!this.#found.has(host)) this.#found.set(host, []);
    }
  }

  get #addresses(): readonly HttpAddress[] {
    return [...this.#configured, ...this.#file.addresses];
  }

  #names(): string[] {
    const hosts = this.#addresses.map(({ host }) => host);
    return [...new Set(hosts)].filter((host) => host !== undefined && !isIpAddress(host)) as string[];
  }

  #publish(): void {
    if (this.#state !== "open") return;
    for (const host of this.#found.keys()) {
      if (this.#names().includes(host)) continue;
      this.#found.delete(host);
      this.#unresolved.delete(host);
    }
    const servers = new Map<string, PlacedAddress>();
    const all = [...this.#discovered, ...this.#addresses.flatMap((address) => this.#place(address))];
    for (const placed of all) {
      if (servers.size < maxServers && !servers.has(placed.key)) servers.set(placed.key, placed);
    }
    const shown = JSON.stringify([...servers.values()].map(({ key, place }) => [key, place]));
    if (shown === this.#shown && servers.size > 0) return;
    this.#shown = shown;
    this.#options.onChange([...servers.values()]);
  }

  #place(address: HttpAddress): PlacedAddress[] {
    const { host, port, origin, basePath, socketPath } = address;
    if (host === undefined)
      return [{ key: `unix:${socketPath}`, label: socketPath ?? "", address, ip: undefined }];
    const key = (ip: string): string => `${origin}${basePath} ${ip}`;
    if (isIpAddress(host)) {
      return [{ key: key(host), label: formatAddress(host, port), address, ip: undefined }];
    }
    const found = this.#found.get(host) ?? [];
    return found.map((ip) => ({ key: key(ip), label: formatAddress(ip, port), address, ip }));
  }
}

/** Its key is that of the same address in a pool's own list: a server that both name is one. */
function placeDiscovered({ name, namespace, address, port, labels }: DiscoveredEndpoint): PlacedAddress {
  const label = formatAddress(address, port);
  const parsed = parseHttpAddress(`http://${label}`);
  return {
    key: `${parsed.origin} ${address}`,
    label,
    address: parsed,
    ip: undefined,
    place: { name, namespace, labels },
  };
}

function isIpAddress(host: string): boolean {
  return isIP(host.replace(/%.*$/, "")) !== 0;
}
