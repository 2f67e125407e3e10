/** Events of `/v1/responses` that the gateway writes itself. */
import type { Failure } from "../../core/errors.ts";

/** One event: its name stands before its data, and in it. */
export function responsesEvent(type: string, value: Readonly<Record<string, unknown>>): Uint8Array {
  return Buffer.from(`event: ${type}\ndata: ${JSON.stringify({ type, ...value })}\n\n`);
}

/** The event that ends a broken stream. Nothing follows it. */
export function writeResponsesErrorEvent({ code, message, field }: Failure, sequence: number): Uint8Array {
  return responsesEvent("error", { code, message, param: field ?? null, sequence_number: sequence });
}
