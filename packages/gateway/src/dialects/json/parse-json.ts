/** JSON of callers, parsed under bounds, with errors that say what was wrong. */
import { isUtf8 } from "node:buffer";
import { failure, type Failure } from "../../core/errors.ts";
import { scanJson, type JsonLimits } from "./scan-json.ts";

/** A parsed text. The value is wrapped because a caller's object may look like anything, a failure included. */
export interface ParsedJson {
  readonly value: unknown;
}

/**
 * A text this short is parsed without the scan, which costs as much as the parser: it can take a few
 * megabytes at most, and what reads the values walks no deeper than a tensor's shape.
 */
const unscannedBytes = 64 * 1024;

/**
 * Parses a body. Failures are `invalid_json`, and `body_too_large` for more values than the limits allow.
 * `scansFrom`: bodies of more bytes are held to the limits; 0 where the value is written again, which
 * walks as deep as the text nests.
 */
export function parseJson(
  body: Uint8Array,
  limits: JsonLimits,
  scansFrom = unscannedBytes,
): ParsedJson | Failure {
  if (!isUtf8(body)) return failure("invalid_json", "The body is not UTF-8 text");
  const broken = body.length > scansFrom ? scanJson(body, limits) : undefined;
  if (broken === "maxDepth")
    return failure("invalid_json", `The JSON nests deeper than ${limits.maxDepth} levels`);
  if (broken === "maxValues")
    return failure(
      "body_too_large",
      `The JSON holds more than ${limits.maxValues} values; send tensors as binary data`,
    );
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
  if (/^--[^\r\n]*\r?\ncontent-disposition:/i.test(text.slice(0, 300)))
    return "The body is a form (multipart/form-data); expected JSON, or where a picture is taken its bytes alone";
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
