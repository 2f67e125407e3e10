/** JSON of callers, parsed under bounds, with errors that say what was wrong. */
import { isUtf8 } from "node:buffer";
import { failure, type Failure } from "../../core/errors.ts";
import { nestsDeeper } from "./scan-depth.ts";

/** Bounds of a JSON text. */
export interface JsonLimits {
  /** Arrays and objects inside each other. */
  readonly maxDepth: number;
}

/** 64 levels: tensors have at most 32. */
export const defaultJsonLimits: JsonLimits = { maxDepth: 64 };

/** A parsed text. The value is wrapped because a caller's object may look like anything, a failure included. */
export interface ParsedJson {
  readonly value: unknown;
}

/** A text this short cannot nest deep enough to hurt: it is parsed without the scan. */
const unscannedBytes = 2048;

/** Parses a body. Failures are `invalid_json`. */
export function parseJson(body: Uint8Array, limits: JsonLimits): ParsedJson | Failure {
  if (!isUtf8(body)) return failure("invalid_json", "The body is not UTF-8 text");
  if (body.length > unscannedBytes && nestsDeeper(body, limits.maxDepth))
    return failure("invalid_json", `The JSON nests deeper than ${limits.maxDepth} levels`);
  const text = asBuffer(body).toString("utf8");
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    return failure("invalid_json", syntaxProblem(text, error));
  }
}

/** No 64-bit integer has more digits. */
const wideInteger = /^-?\d{1,20}$/;

/**
 * Parses a text that `parseJson` accepted once more, with integers beyond ±2^53 as bigints, so that
 * no digit is lost. Costs several times as much.
 */
export function parseJsonExactly(body: Uint8Array): unknown {
  return JSON.parse(asBuffer(body).toString("utf8"), (_key, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && wideInteger.test(context?.source ?? "")
      ? BigInt(context?.source ?? "")
      : value,
  ) as unknown;
}

/** The same bytes as a Buffer, without a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const maxReasonLength = 120;

function syntaxProblem(text: string, error: unknown): string {
  if (text.length === 0) return "The body is empty; expected JSON";
  const reason = (error instanceof Error ? error.message : "").split("\n", 1)[0] ?? "";
  const position = Number(/at position (\d+)/.exec(reason)?.[1] ?? Number.NaN);
  const hint = mentionsNonFinite(text, position)
    ? "; NaN and Infinity are no JSON numbers, send such tensors as binary data"
    : "";
  return `The body is not valid JSON: ${reason.slice(0, maxReasonLength)}${hint}`;
}

/** Whether the parser may have stopped at the NaN or Infinity that Python and JavaScript like to print. */
function mentionsNonFinite(text: string, position: number): boolean {
  const window = Number.isNaN(position) ? text : text.slice(Math.max(0, position - 1), position + 12);
  return /(?:^|[[:,\s-])(?:NaN|Infinity)\b/.test(window);
}
