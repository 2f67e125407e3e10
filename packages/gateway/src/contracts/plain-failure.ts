/** How failures look at addresses that belong to no dialect: `{error, code}`. */
import { errorTable, type Failure } from "../core/errors.ts";
import type { WireAnswer } from "../core/request.ts";
import { wireAnswer } from "./route.ts";

/** Writes a failure as one line of JSON; the code is the error table's. */
export function writePlainFailure({ code, message }: Failure): WireAnswer {
  const body = Buffer.from(`${JSON.stringify({ error: message, code })}\n`);
  return wireAnswer(errorTable[code].http, "application/json", [body]);
}
