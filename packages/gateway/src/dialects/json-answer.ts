/** Whole answers of JSON over HTTP. */
import { wireAnswer } from "../contracts/route.ts";
import type { Failure } from "../core/errors.ts";
import type { HeaderList } from "../core/headers.ts";
import type { WireAnswer } from "../core/request.ts";

/** `Retry-After` in whole seconds where the failure names a time. */
export function retryAfter({ retryAfterMs }: Failure): HeaderList {
  return retryAfterMs === undefined
    ? []
    : [["retry-after", String(Math.max(1, Math.ceil(retryAfterMs / 1000)))]];
}

/** A whole answer of JSON. */
export function jsonAnswer(status: number, value: unknown, headers: HeaderList = []): WireAnswer {
  return wireAnswer(status, "application/json", [Buffer.from(JSON.stringify(value), "utf8")], headers);
}
