/** Tells this machine's own addresses and names from others. */

const ipv4Loopback = /^127(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}$/;

/** True for 127.0.0.0/8, ::1, and the first mapped into IPv6, as a socket reports them. */
export function isLoopbackAddress(address: string): boolean {
  const plain = address.startsWith("::ffff:") ? address.slice(7) : address;
  return ipv4Loopback.test(plain) || address === "::1";
}

/**
 * True for a `Host` header, with or without a port, that can only mean this machine: `localhost`,
 * names under it, which resolve to loopback (RFC 6761, 6.3), and loopback addresses.
 */
export function isLoopbackHost(host: string): boolean {
  const name = hostName(host);
  if (name.startsWith("[")) return name.endsWith("]") && isLoopbackAddress(name.slice(1, -1));
  return name === "localhost" || name.endsWith(".localhost") || ipv4Loopback.test(name);
}

/** The name of a `Host` header in lower case: without its port, a final dot removed, IPv6 in its brackets. */
export function hostName(host: string): string {
  const lower = host.trim().toLowerCase();
  const name = lower.replace(/:\d{0,5}$/, "");
  // Without brackets several colons are an address that nothing was cut from.
  const whole = !name.startsWith("[") && name.includes(":") ? lower : name;
  return whole.endsWith(".") ? whole.slice(0, -1) : whole;
}
