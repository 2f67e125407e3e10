/** Tensor contents as nested JSON arrays, as row and columnar answers have them. */
import { isUtf8 } from "node:buffer";
import { decodeBytesElements, elementCount } from "@spillway/protocol/tensors";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { quoted } from "./describe.ts";
import { contentsProblem, valuesText } from "./write-values.ts";

/** The tensor nested like its shape; a scalar without brackets. BYTES that are no UTF-8 become `{"b64": "…"}`. */
export function nestedText(tensor: Tensor): string | Failure {
  const problem = contentsProblem(tensor);
  if (problem !== undefined) return problem;
  return tensor.datatype === "BYTES" ? nestedElements(tensor) : nestedNumbers(tensor);
}

/** Recurses once a dimension; the innermost dimension is written in one go. */
function nestedNumbers(tensor: Tensor): string | Failure {
  const { shape, data } = tensor;
  const [size = 1, ...inner] = shape;
  if (shape.length <= 1) {
    const text = valuesText(tensor);
    if (isFailure(text)) return text;
    return shape.length === 0 ? text.json.slice(1, -1) : text.json;
  }
  const stride = size === 0 ? 0 : data.length / size;
  const texts: string[] = [];
  for (let i = 0; i < size; i++) {
    const text = nestedNumbers({
      ...tensor,
      shape: inner,
      data: data.subarray(i * stride, (i + 1) * stride),
    });
    if (typeof text !== "string") return text;
    texts.push(text);
  }
  return `[${texts.join(",")}]`;
}

function nestedElements({ name, shape, data }: Tensor): string | Failure {
  const elements = decodeBytesElements(data);
  if (elements === undefined || elements.length !== elementCount(shape))
    return failure(
      "bad_upstream_answer",
      `Output ${quoted(name)} came with the wrong number of BYTES elements`,
    );
  return nest(elements.map(elementText), shape);
}

function elementText(element: Uint8Array): string {
  const bytes = Buffer.from(element.buffer, element.byteOffset, element.byteLength);
  return isUtf8(bytes) ? JSON.stringify(bytes.toString("utf8")) : `{"b64":"${bytes.toString("base64")}"}`;
}

function nest(texts: readonly string[], shape: readonly number[]): string {
  let level = texts;
  for (let depth = shape.length - 1; depth >= 0; depth--) {
    const size = shape[depth] ?? 1;
    const outer = elementCount(shape.slice(0, depth));
    level = Array.from({ length: outer }, (_, i) => `[${level.slice(i * size, (i + 1) * size).join(",")}]`);
  }
  return level[0] ?? "[]";
}

/** The rows of a tensor, each with the shape behind the first dimension. A tensor that does not have that many is one row. */
export function rowsOf(tensor: Tensor, rows: number): Tensor[] {
  const { shape, data, datatype } = tensor;
  if (shape[0] !== rows) return [tensor];
  const inner = shape.slice(1);
  if (datatype === "BYTES") return elementRows(tensor, elementCount(inner));
  const stride = data.length / rows;
  return Array.from({ length: rows }, (_, row) => ({
    ...tensor,
    shape: inner,
    data: data.subarray(row * stride, (row + 1) * stride),
  }));
}

function elementRows(tensor: Tensor, width: number): Tensor[] {
  const inner = tensor.shape.slice(1);
  const elements = decodeBytesElements(tensor.data) ?? [];
  const rows: Tensor[] = [];
  let offset = 0;
  for (
    let start = 0;
    start + width <= elements.length && rows.length < (tensor.shape[0] ?? 0);
    start += width
  ) {
    let size = 0;
    for (const element of elements.slice(start, start + width)) size += 4 + element.length;
    rows.push({ ...tensor, shape: inner, data: tensor.data.subarray(offset, offset + size) });
    offset += size;
  }
  return rows;
}
