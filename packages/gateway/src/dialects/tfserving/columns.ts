/** JSON values of row and columnar requests, gathered into one column an input before the model is known. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { quoted, shown } from "../tensors/describe.ts";
import { decodeBase64, maxRank } from "../tensors/pack-values.ts";

/**
 * The values of one input, flat and row-major.
 * - `numbers`: doubles; `wide` has them once more with all digits where some are integers beyond ±2^53.
 * - `elements`: texts as UTF-8 and `{"b64": …}` decoded.
 * - `booleans`: true and false.
 */
export type ColumnValues =
  | {
      readonly kind: "numbers";
      readonly numbers: Float64Array;
      readonly wide: readonly (number | bigint)[] | undefined;
    }
  | { readonly kind: "elements"; readonly elements: readonly Uint8Array[] }
  | { readonly kind: "booleans"; readonly booleans: readonly boolean[] };

/** One input of a request. Holds plain values and bytes only, so that a thread can hand it over. */
export interface Column {
  /** Undefined where the request names no input. */
  readonly name: string | undefined;
  readonly shape: readonly number[];
  readonly values: ColumnValues;
}

/** Gathers nested arrays of equal lengths into a column. `where` starts the messages. */
export function toColumn(name: string | undefined, value: unknown, where: string): Column | Failure {
  const shape = shapeOf(value);
  if (shape === undefined) return wrong(where, `nests deeper than ${maxRank} levels`);
  const flat: unknown[] = [];
  const place = gather(value, shape, flat, 0);
  if (place !== undefined) return wrong(where, place);
  const values = toValues(flat, where);
  return isFailure(values) ? values : { name, shape, values };
}

function wrong(where: string, what: string): Failure {
  return failure("bad_request", `${where}: ${what}`);
}

/** Lengths along the first elements; undefined when there are too many. */
function shapeOf(value: unknown): number[] | undefined {
  const shape: number[] = [];
  for (let inner = value; Array.isArray(inner); inner = (inner as unknown[])[0]) {
    if (shape.push(inner.length) > maxRank) return undefined;
  }
  return shape;
}

/** Collects the leaves; gives back what is wrong when an array is longer or shorter than its neighbours. */
function gather(
  value: unknown,
  shape: readonly number[],
  flat: unknown[],
  depth: number,
): string | undefined {
  if (depth === shape.length) {
    if (Array.isArray(value)) return "expected arrays of one depth";
    flat.push(value);
    return undefined;
  }
  if (!Array.isArray(value) || value.length !== shape[depth])
    return `expected arrays of one length, here ${shape[depth]}, got ${shown(value)}`;
  for (const inner of value) {
    const problem = gather(inner, shape, flat, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function toValues(flat: readonly unknown[], where: string): ColumnValues | Failure {
  const first = flat[0];
  if (typeof first === "number" || typeof first === "bigint" || first === undefined)
    return toNumbers(flat, where);
  if (typeof first === "boolean") {
    const odd = flat.findIndex((value) => typeof value !== "boolean");
    if (odd >= 0) return wrong(where, `expected true or false at value ${odd}, got ${shown(flat[odd])}`);
    return { kind: "booleans", booleans: flat as boolean[] };
  }
  const elements: Uint8Array[] = [];
  for (const [index, value] of flat.entries()) {
    const element = toElement(value);
    if (element === undefined)
      return wrong(
        where,
        `expected a string or {"b64": "…"} like its neighbours at value ${index}, got ${shown(value)}`,
      );
    elements.push(element);
  }
  return { kind: "elements", elements };
}

function toNumbers(flat: readonly unknown[], where: string): ColumnValues | Failure {
  const numbers = new Float64Array(flat.length);
  let isWide = false;
  for (let i = 0; i < numbers.length; i++) {
    const value = flat[i];
    if (typeof value === "bigint") isWide = true;
    else if (typeof value !== "number")
      return wrong(where, `expected a number at value ${i}, got ${shown(value)}`);
    numbers[i] = Number(value);
  }
  return { kind: "numbers", numbers, wide: isWide ? (flat as (number | bigint)[]) : undefined };
}

/** A text's UTF-8 or the decoded bytes; undefined for anything else. */
function toElement(value: unknown): Uint8Array | undefined {
  if (typeof value === "string") return Buffer.from(value, "utf8");
  return isBase64Object(value) ? decodeBase64(value.b64) : undefined;
}

/** TF-Serving's way to write bytes. */
export function isBase64Object(value: unknown): value is { readonly b64: string } {
  return typeof value === "object" && value !== null && "b64" in value && typeof value.b64 === "string";
}

/** Gathers the same input of every instance: one more dimension in front. */
export function toNamedColumn(name: string, rows: readonly unknown[]): Column | Failure {
  return toColumn(name, rows, `Input ${quoted(name)}`);
}
