/** Which headers speak of one connection only, so that a proxy passes none of them on (RFC 9110, section 7.6.1). */

/** Names in lower case. A message may name more in its `Connection`: `namedByConnection`. */
export const connectionHeaders: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The names, in lower case, that a message's `Connection` headers list. */
export function namedByConnection(values: readonly string[]): ReadonlySet<string> {
  return new Set(values.flatMap((value) => value.split(",")).map((name) => name.trim().toLowerCase()));
}
