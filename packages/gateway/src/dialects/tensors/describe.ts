/** How messages to callers show names and tensors: short, quoted, bounded. */
import type { TensorSpec } from "../../core/tensor.ts";

const maxShown = 80;

/** A caller's text in quotes, shortened to 80 characters. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > maxShown ? `${text.slice(0, maxShown)}…` : text);
}

/** A value of unknown type in few words: `"abc"`, `12`, `an array of 3`, `an object`. */
export function shown(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint")
    return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value === null) return "null";
  return value === undefined ? "nothing" : "an object";
}

/** `[-1,4]`. */
export function shownShape(shape: readonly number[]): string {
  return shape.length <= 16 ? `[${shape.join(",")}]` : `[${shape.slice(0, 16).join(",")},…]`;
}

/** `x FP32 [-1,4], y INT64 [-1]`; the first eight when there are many. */
export function shownSpecs(specs: readonly TensorSpec[]): string {
  const texts = specs.slice(0, 8).map((spec) => `${spec.name} ${spec.datatype} ${shownShape(spec.shape)}`);
  if (specs.length > 8) texts.push("…");
  return texts.join(", ");
}
