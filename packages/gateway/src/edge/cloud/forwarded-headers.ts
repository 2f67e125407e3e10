/** Which headers pass between a caller and the cloud. */
import { keyPrefix } from "../../core/api-key.ts";
import { connectionHeaders, namedByConnection } from "../../core/connection-headers.ts";
import type { HeaderList, HeaderMap } from "../../core/headers.ts";

/** They belong to one connection, or are made anew for the next one. */
const ofConnection: ReadonlySet<string> = connectionHeaders.union(
  new Set(["content-length", "expect", "host"]),
);

/** What the client and the cloud tell each other, and nothing that speaks of this machine or its other services. */
const ofCaller = /^(?:cookie$|authorization$|x-api-token$|x-spillway-|x-forwarded-|forwarded$|x-real-ip$)/;

/** True for a key of this gateway, which no other server may see. */
export function isOwnKey(text: string): boolean {
  return text.includes(keyPrefix);
}

/** Headers of a caller for the cloud; the token is set by the call. */
export function requestHeadersForCloud(headers: HeaderList): HeaderList {
  const named = namedByConnection(
    headers.filter(([name]) => name === "connection").map(([, value]) => value),
  );
  return headers.filter(
    ([name, value]) =>
      !ofConnection.has(name) && !named.has(name) && !ofCaller.test(name) && !isOwnKey(value),
  );
}

/** Headers of the cloud for a caller. Who may read an answer from a web page is the gateway's to say. */
export function responseHeadersOfCloud(headers: HeaderMap): HeaderList {
  const connection = headers["connection"] ?? [];
  const named = namedByConnection(typeof connection === "string" ? [connection] : connection);
  const list: (readonly [string, string])[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || ofConnection.has(name) || named.has(name)) continue;
    if (name === "set-cookie" || name === "x-request-id" || name.startsWith("access-control-")) continue;
    for (const each of typeof value === "string" ? [value] : value) list.push([name, each]);
  }
  return list;
}
