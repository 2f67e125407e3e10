/** Errors as OpenAI words them. */
import type { Refusal } from "../refusal.ts";

/** `{error: {message, type, param, code}}`. */
export function openaiErrorBody({ message, status, code, field }: Refusal): unknown {
  const type = status === 503 ? "overloaded_error" : status < 500 ? "invalid_request_error" : "server_error";
  return { error: { message, type, param: field ?? null, code } };
}
