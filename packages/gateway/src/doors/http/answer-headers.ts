/** Headers that every answer of the door carries, and failures that belong to no dialect. */
import { errorTable, type Failure } from "../../core/errors.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";

/** A request id that a caller may choose: visible ASCII, bounded. */
const sane = /^[\x21-\x7e]{1,128}$/;

/** The caller's `x-request-id` where it is sane. */
export function givenRequestId(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === "string" && sane.test(header) ? header : undefined;
}

/** Names and values in turn, as `writeHead` takes them. Without a length the answer is a stream. */
export function answerHeaders(
  headers: HeaderList,
  length: number | undefined,
  about: { readonly requestId: string; readonly retryAfterMs: number | undefined },
): string[] {
  const flat: string[] = [];
  for (const [name, value] of headers) flat.push(name, value);
  flat.push("x-request-id", about.requestId);
  if (length !== undefined) flat.push("content-length", String(length));
  if (about.retryAfterMs !== undefined)
    flat.push("retry-after", String(Math.max(1, Math.ceil(about.retryAfterMs / 1_000))));
  return flat;
}

/** `{error, code}`: how failures look outside of every API. */
export function plainFailure(reason: Failure, requestId: string): WireAnswer {
  const body = Buffer.from(
    JSON.stringify({ error: reason.message, code: reason.code, request_id: requestId }),
  );
  return {
    status: errorTable[reason.code].http,
    headers: [["content-type", "application/json"]],
    body: [body],
  };
}
