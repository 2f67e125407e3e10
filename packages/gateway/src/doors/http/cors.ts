/** Cross-origin calls from web pages (https://fetch.spec.whatwg.org/#http-cors-protocol). */
import { failure, type Failure } from "../../core/errors.ts";
import { headerValue, type HeaderList, type HeaderMap } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";

/** Seconds for which a browser may remember a preflight. */
const preflightMaxAge = "600";

const headerNames = /^[\w\-, ]{1,1024}$/;

/** True for a preflight: a browser's question whether a page may make a call. */
export function isPreflight(method: string, headers: HeaderMap): boolean {
  return (
    method === "OPTIONS" &&
    headers.origin !== undefined &&
    headers["access-control-request-method"] !== undefined
  );
}

/** The answer to a preflight; a failure for an origin that is not listed. */
export function preflightAnswer(
  headers: HeaderMap,
  origins: ReadonlySet<string> | undefined,
): WireAnswer | Failure {
  if (origins?.has(headerValue(headers, "origin") ?? "") !== true) {
    return failure("forbidden", "Web pages of this origin may not call; list it to allow them");
  }
  return { status: 204, headers: preflightHeaders(headers), body: [] };
}

/** What a listed origin is told before its call. */
function preflightHeaders(headers: HeaderMap): HeaderList {
  const asked = headerValue(headers, "access-control-request-headers");
  const list: [string, string][] = [
    ["access-control-allow-methods", "GET, HEAD, POST, PUT, DELETE"],
    ["access-control-max-age", preflightMaxAge],
  ];
  if (asked !== undefined && headerNames.test(asked)) list.push(["access-control-allow-headers", asked]);
  // A page of the public web that calls into a private network (https://wicg.github.io/private-network-access/).
  if (headers["access-control-request-private-network"] === "true") {
    list.push(["access-control-allow-private-network", "true"]);
  }
  return list;
}

/** Adds what every answer of a door with listed origins says, to a flat list of names and values. */
export function addCorsHeaders(
  flat: string[],
  origins: ReadonlySet<string>,
  origin: string | undefined,
): void {
  flat.push("vary", "origin");
  if (origin === undefined || !origins.has(origin)) return;
  flat.push("access-control-allow-origin", origin, "access-control-expose-headers", "*");
}
