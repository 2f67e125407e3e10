/** Failures of the operators' surfaces: `{error, code}`. */
import { wireAnswer } from "../contracts/route.ts";
import { errorTable, type Failure } from "../core/errors.ts";
import type { WireAnswer } from "../core/request.ts";

/** Writes a failure. */
export function plainJsonFailure(reason: Failure): WireAnswer {
  const body = Buffer.from(`${JSON.stringify({ error: reason.message, code: reason.code })}\n`);
  return wireAnswer(errorTable[reason.code].http, "application/json", [body]);
}
