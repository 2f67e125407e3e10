/** Bodies of JSON of the API's small calls. */
import type { HttpCall } from "../../contracts/route.ts";
import { failure, type Failure } from "../../core/errors.ts";

/** Parsing more would hold the event loop. */
const maxBytes = 262_144;

/** Any JSON value, of at most 256 KiB. */
export function readJsonBody({ body }: Pick<HttpCall, "body">): { readonly value: unknown } | Failure {
  if (body.byteLength > maxBytes)
    return failure("body_too_large", `The body has ${body.byteLength} bytes; at most ${maxBytes} are taken`);
  try {
    const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
    return { value: JSON.parse(text) as unknown };
  } catch {
    return failure("invalid_json");
  }
}
