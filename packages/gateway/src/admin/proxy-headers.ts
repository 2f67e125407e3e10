/** Which headers pass through a proxied call. */
import type { OutgoingHttpHeaders } from "node:http";
import type { HttpCall } from "../contracts/route.ts";
import { connectionHeaders, namedByConnection } from "../core/connection-headers.ts";
import { headerValue, type HeaderList } from "../core/headers.ts";

/** Where callers put their Spillway key. */
const credentials = new Set(["authorization", "x-api-key", "api-key", "x-api-token"]);

/** What callers tell the gateway itself. */
const control = /^x-spillway-/;

/**
 * What a proxy says about a caller. A server that trusts the gateway's address would believe it of
 * anybody: with `X-WEBAUTH-USER` Grafana lets in whom its proxy names.
 */
const identity = /^(x-webauth-|x-forwarded-|forwarded$|remote-|x-remote-|x-real-ip$)/;

/**
 * The caller's headers without what is meant for the gateway itself; `host` for a caller who names none. `Host` stays: Grafana compares it
 * with `Origin`. The body's framing is made anew, so that a body can never be read as a further request.
 */
export function requestHeaders(
  { headers, upload, requestId }: HttpCall,
  { cookies, host }: { readonly cookies: boolean; readonly host: string },
): OutgoingHttpHeaders {
  const { connection = [] } = headers;
  const named = namedByConnection(typeof connection === "string" ? [connection] : connection);
  const passed: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || connectionHeaders.has(name) || named.has(name)) continue;
    if (credentials.has(name) || identity.test(name) || control.test(name)) continue;
    if (name === "content-length" || name === "expect" || (name === "cookie" && !cookies)) continue;
    passed[name] = typeof value === "string" ? value : [...value];
  }
  passed["host"] = headerValue(headers, "host") ?? host;
  passed["x-request-id"] = requestId;
  if (upload?.length !== undefined) passed["content-length"] = upload.length;
  // Without either, Node sends the body of a GET or DELETE unframed.
  else if (upload !== undefined) passed["transfer-encoding"] = "chunked";
  return passed;
}

/**
 * The server's headers, given as names and values in turn. Who may read an answer from a web page is
 * the gateway's to say, and so is the request's id.
 */
export function responseHeaders(raw: readonly string[]): HeaderList {
  const list: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) list.push([(raw[i] ?? "").toLowerCase(), raw[i + 1] ?? ""]);
  const named = namedByConnection(list.filter(([name]) => name === "connection").map(([, value]) => value));
  return list.filter(
    ([name]) =>
      !connectionHeaders.has(name) &&
      !named.has(name) &&
      name !== "x-request-id" &&
      !name.startsWith("access-control-"),
  );
}
