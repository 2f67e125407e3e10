/** Failures in OpenAI's words (https://platform.openai.com/docs/guides/error-codes). */
import { errorTable, type ErrorCode, type Failure } from "../../core/errors.ts";
import type { WireAnswer } from "../../core/request.ts";
import { jsonAnswer } from "../json-answer.ts";

interface OpenAiError {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
}

/** A failure with the status of the error table. `code` is the failure's own, `param` the field at fault. */
export function writeOpenAiFailure(reason: Failure): WireAnswer {
  return jsonAnswer(errorTable[reason.code].http, { error: errorOf(reason) });
}

/** A refusal with a server's status and text. */
export function writeOpenAiRefusal(status: number, message: string): WireAnswer {
  return jsonAnswer(status, { error: { message, type: typeOf(status), param: null, code: null } });
}

/** The event that ends a broken stream. No `[DONE]` follows it. */
export function writeOpenAiErrorEvent(reason: Failure): Uint8Array {
  return Buffer.from(`data: ${JSON.stringify({ error: errorOf(reason) })}\n\n`);
}

/** What an error body or event says: `error.message`, `error` as text, or `message` and `detail` of servers that differ. */
export function readOpenAiError(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { error, message, detail } = value as Record<string, unknown>;
  if (typeof error === "string") return error;
  if (typeof error === "object" && error !== null) return readOpenAiError(error) ?? JSON.stringify(error);
  if (typeof message === "string") return message;
  return typeof detail === "string" ? detail : undefined;
}

function errorOf({ code, message, field }: Failure): OpenAiError {
  return { message, type: typeOf(errorTable[code].http), param: field ?? paramOf(code), code };
}

function paramOf(code: ErrorCode): string | null {
  return code === "model_not_found" ? "model" : null;
}

function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}
