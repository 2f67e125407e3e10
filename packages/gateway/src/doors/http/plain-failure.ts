/** Failures at addresses that belong to no API: `{error, code}`. */
import { wireAnswer } from "../../contracts/route.ts";
import { errorTable, type Failure } from "../../core/errors.ts";
import type { WireAnswer } from "../../core/request.ts";

/** Writes a failure as JSON; the code is the error table's. */
export function writePlainFailure({ code, message }: Failure): WireAnswer {
  const body = Buffer.from(JSON.stringify({ error: message, code }));
  return wireAnswer(errorTable[code].http, "application/json", [body]);
}
