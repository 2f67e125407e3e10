/** What a route of the cloud is asked and says, and the words of the errors (those of Django REST framework). */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import type { PathParameters } from "../faces/face.ts";
import type { TokenRecord } from "./records.ts";

/** A request whose caller is known. */
export interface CloudCall {
  readonly method: string;
  readonly path: PathParameters;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Parsed JSON; undefined where there was none. */
  readonly body: unknown;
  readonly rawBody: Buffer;
  readonly caller: TokenRecord;
  /** `http://host:port` as the caller knows it. */
  readonly origin: string;
}

/** An answer. Default status 200; `json` undefined and no bytes is an empty body. */
export interface Reply {
  readonly status?: number;
  readonly json?: unknown;
  readonly bytes?: Buffer;
  readonly headers?: OutgoingHttpHeaders;
}

/** An error that concerns the whole request: `{"detail": …}`. */
export function refused(status: number, detail: string, headers: OutgoingHttpHeaders = {}): Reply {
  return { status, json: { detail }, headers };
}

/** 400 for one field: `{"field": ["…"]}`. */
export function invalid(field: string, message: string): Reply {
  return { status: 400, json: { [field]: [message] } };
}

/** 404. */
export function notFound(detail = "Not found."): Reply {
  return refused(404, detail);
}

/** 403: it belongs to another account. */
export function forbidden(): Reply {
  return refused(403, "You do not have permission to perform this action.");
}

const MAX_PAGE_SIZE = 100;

/** One page of a list, `?page=&page_size=`: 10 of them unless told otherwise, at most 100. */
export function pageOf<Item>(
  { query, origin }: CloudCall,
  place: string,
  all: readonly Item[],
  write: (item: Item) => unknown,
): Reply {
  const page = Number(query.get("page") ?? 1);
  const size = Math.min(MAX_PAGE_SIZE, Math.max(1, Math.trunc(Number(query.get("page_size") ?? 10)) || 10));
  const pages = Math.max(1, Math.ceil(all.length / size));
  if (!Number.isInteger(page) || page < 1 || page > pages) return notFound("Invalid page.");
  const link = (to: number): string => {
    const next = new URLSearchParams(query);
    next.set("page", String(to));
    return `${origin}${place}?${next.toString()}`;
  };
  return {
    json: {
      count: all.length,
      next: page < pages ? link(page + 1) : null,
      previous: page > 1 ? link(page - 1) : null,
      results: all.slice((page - 1) * size, page * size).map(write),
    },
  };
}

/** Metadata as it travels: a JSON object of at most 1,024 characters in base64, URL-safe or not. */
export function readMetadata(given: string): Readonly<Record<string, unknown>> | undefined {
  const json = Buffer.from(given, "base64").toString();
  if (json.length > 1024) return undefined;
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
