/** Addresses of Groundlight's API: the same below each prefix that clients use. */
import type { HttpCall, Route } from "../../contracts/route.ts";
import { headerValue } from "../../core/headers.ts";
import { writeGroundlightFailure } from "../../dialects/groundlight/write-failure.ts";

/** What the client of Groundlight puts before its paths, what other clients leave out, and both in part. */
const apiPrefixes = ["/device-api/v1", "/device-api", ""] as const;

/** The route at each prefix. */
export function apiRoutes(route: Omit<Route, "writeFailure">): Route[] {
  return apiPrefixes.map((prefix) => ({
    ...route,
    path: prefix + route.path,
    writeFailure: writeGroundlightFailure,
  }));
}

/** The caller's token of the Groundlight cloud; undefined for none. A key of this gateway never is one. */
export function cloudToken({ headers }: Pick<HttpCall, "headers">): string | undefined {
  const given = headerValue(headers, "x-api-token");
  return given === undefined || given === "" || given.startsWith("spw_") ? undefined : given;
}

/** Address of a list as the caller knows it, without its query. */
export function listUrl({ headers, path }: Pick<HttpCall, "headers" | "path">): string {
  return `http://${headerValue(headers, "host") ?? "localhost"}${path}`;
}
