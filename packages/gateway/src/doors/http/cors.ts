/** Cross-origin calls from web pages (https://fetch.spec.whatwg.org/#http-cors-protocol). */
import { headerValue, type HeaderMap } from "../../core/headers.ts";

/** Seconds for which a browser may remember a preflight. */
const preflightMaxAge = "600";

const headerNames = /^[\w\-, ]{1,1024}$/;

/** True for a preflight: the browser's question whether a page may make a call. */
export function isPreflight(method: string, headers: HeaderMap): boolean {
  return (
    method === "OPTIONS" &&
    headers.origin !== undefined &&
    headers["access-control-request-method"] !== undefined
  );
}

/** What an allowed origin is told before its call, as a flat list of names and values. */
export function preflightHeaders(headers: HeaderMap, methods: string): string[] {
  const asked = headerValue(headers, "access-control-request-headers");
  const list = ["access-control-allow-methods", methods, "access-control-max-age", preflightMaxAge];
  if (asked !== undefined && headerNames.test(asked)) list.push("access-control-allow-headers", asked);
  if (headers["access-control-request-private-network"] === "true") {
    list.push("access-control-allow-private-network", "true");
  }
  return list;
}
