/** The head of a request, as Envoy tells it. */
import { headerValue, type HeaderMap } from "../../core/headers.ts";

/** What is known of a request before its body. */
export interface RequestHeadRead {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Without the `?`. */
  readonly query: string;
  /** With `host`, which HTTP/2 calls `:authority`. */
  readonly headers: HeaderMap;
  /** The model that a filter before this one has found in the body, or that the caller says it has; undefined: none is named. */
  readonly model: string | undefined;
  /** `content-length`, bytes; undefined where it is not told. */
  readonly length: number | undefined;
  /** `x-request-id`, as it came. */
  readonly givenId: string | undefined;
  /** The one given, or one made here. */
  readonly requestId: string;
}

/** Where a request goes that says nothing of it. */
const usualPath = "/v1/completions";

/** Gateways that rewrite paths keep the original in one of two headers. */
export function readRequestHead(headers: HeaderMap): Omit<RequestHeadRead, "requestId"> {
  const url =
    headerValue(headers, ":path") ??
    headerValue(headers, "x-original-path") ??
    headerValue(headers, "x-forwarded-path") ??
    usualPath;
  const mark = url.indexOf("?");
  const authority = headers[":authority"];
  return {
    method: headerValue(headers, ":method") ?? "POST",
    path: mark < 0 ? url : url.slice(0, mark),
    query: mark < 0 ? "" : url.slice(mark + 1),
    headers:
      authority !== undefined && headers["host"] === undefined ? withHost(headers, authority) : headers,
    model: readModel(headers),
    length: readLength(headers),
    givenId: headerValue(headers, "x-request-id"),
  };
}

/** Header by which body-based routers of the Gateway API Inference Extension say what a body names. */
const modelHeader = "x-gateway-model-name";
/** Longest name that is taken, characters. */
const maxModelLength = 256;

function readModel(headers: HeaderMap): string | undefined {
  if (headers[modelHeader] === undefined) return undefined;
  const name = headerValue(headers, modelHeader)?.trim() ?? "";
  return name === "" || name.length > maxModelLength ? undefined : name;
}

function readLength(headers: HeaderMap): number | undefined {
  const text = headerValue(headers, "content-length") ?? "";
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Adds to the map that was read for this request alone. */
function withHost(headers: HeaderMap, host: string | readonly string[]): HeaderMap {
  (headers as Record<string, string | readonly string[]>)["host"] = host;
  return headers;
}
