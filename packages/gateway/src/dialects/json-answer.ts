/** Whole answers of JSON over HTTP. `Retry-After` and the request id are the door's. */
import { wireAnswer } from "../contracts/route.ts";
import type { WireAnswer } from "../core/request.ts";

/** A whole answer of JSON. It ends in a newline, for people who call from a terminal. */
export function jsonAnswer(status: number, value: unknown): WireAnswer {
  return wireAnswer(status, "application/json", [Buffer.from(`${JSON.stringify(value)}\n`, "utf8")]);
}
