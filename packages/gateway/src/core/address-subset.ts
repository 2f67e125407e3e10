/** The servers that a request is limited to by whoever carries it, such as Envoy's subset of a load balancer. */

/** Addresses `ip:port`, or without a port for all ports of a host. None: no server. */
export class AddressSubset {
  /** The same for equal lists. */
  readonly key: string;
  readonly #addresses: ReadonlySet<string>;

  constructor(addresses: readonly string[]) {
    this.#addresses = new Set(addresses.map(withBrackets));
    this.key = addresses.join(",");
  }

  /** The subset that has the key. */
  static ofKey(key: string): AddressSubset {
    return new AddressSubset(key === "" ? [] : key.split(","));
  }

  /** `address`: `host:port`, as `SchedulableEndpoint.address`. */
  admits(address: string): boolean {
    if (this.#addresses.has(address)) return true;
    const colon = address.lastIndexOf(":");
    return colon > 0 && this.#addresses.has(address.slice(0, colon));
  }
}

/** An IPv6 address without a port is written without brackets, one with a port with them. */
function withBrackets(address: string): string {
  const isBareIpv6 = !address.startsWith("[") && address.indexOf(":") !== address.lastIndexOf(":");
  return isBareIpv6 ? `[${address}]` : address;
}
