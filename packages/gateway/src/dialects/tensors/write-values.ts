/** Tensor contents as the text of a flat JSON array. */
import { isUtf8 } from "node:buffer";
import { datatypeBytes, decodeBytesElements, elementCount } from "@spillway/protocol/tensors";
import { failure, type Failure } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { quoted } from "./describe.ts";
import { shortFloat, shortNarrowFloat } from "./float-text.ts";
import { numbersOf, wideNumbersOf, type NumberArray, type NumericDatatype } from "./numbers.ts";

/** A tensor's `data` member, and how its texts are encoded where they are not plain. */
export interface ValuesText {
  readonly json: string;
  /** `base64` for BYTES that are not UTF-8. */
  readonly contentType: "base64" | undefined;
}

/**
 * Writes the contents as a JSON array: floats in the shortest text that reads back the same, 64-bit
 * integers with all digits, BOOL as true and false, BYTES as strings. NaN and infinities have no
 * JSON form and are refused rather than written as null.
 */
export function valuesText(tensor: Tensor): ValuesText | Failure {
  const problem = contentsProblem(tensor);
  if (problem !== undefined) return problem;
  const { datatype, data } = tensor;
  if (datatype === "BYTES") return elementsText(tensor);
  if (datatype === "BOOL") return plain(JSON.stringify(Array.from(data, (value) => value !== 0)));
  if (datatype === "INT64" || datatype === "UINT64")
    return plain(`[${wideNumbersOf(datatype, data).join(",")}]`);
  return numbersText(tensor, datatype);
}

function plain(json: string): ValuesText {
  return { json, contentType: undefined };
}

/** The failure for contents that are not as long as their shape says. BYTES are not looked at. */
export function contentsProblem({ name, datatype, shape, data }: Tensor): Failure | undefined {
  if (datatype === "BYTES") return undefined;
  const wanted = elementCount(shape) * datatypeBytes[datatype];
  if (data.length === wanted) return undefined;
  return failure(
    "bad_upstream_answer",
    `Output ${quoted(name)} came with ${data.length} bytes instead of ${wanted}`,
  );
}

function elementsText({ name, data }: Tensor): ValuesText | Failure {
  const elements = decodeBytesElements(data);
  if (elements === undefined)
    return failure("bad_upstream_answer", `Output ${quoted(name)} came with BYTES elements cut short`);
  const texts = elements.map((element) =>
    Buffer.from(element.buffer, element.byteOffset, element.byteLength),
  );
  if (texts.every((text) => isUtf8(text)))
    return plain(JSON.stringify(texts.map((text) => text.toString("utf8"))));
  return { json: JSON.stringify(texts.map((text) => text.toString("base64"))), contentType: "base64" };
}

function numbersText(tensor: Tensor, datatype: NumericDatatype): ValuesText | Failure {
  const values = numbersOf(datatype, tensor.data);
  const numbers = Array<number>(values.length);
  // Any NaN or infinity makes this NaN, so that one test after the loop does.
  let nothing = 0;
  let negativeZero = false;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    nothing += value - value;
    if (value === 0 && 1 / value < 0) negativeZero = true;
    numbers[i] = datatype === "FP32" ? shortFloat(value) : otherNumber(value, datatype);
  }
  if (nothing !== 0) return notANumber(tensor.name, values);
  if (!negativeZero) return plain(JSON.stringify(numbers));
  return plain(`[${numbers.map((value) => (Object.is(value, -0) ? "-0" : String(value))).join(",")}]`);
}

function otherNumber(value: number, datatype: NumericDatatype): number {
  return datatype === "FP16" || datatype === "BF16" ? shortNarrowFloat(value, datatype) : value;
}

function notANumber(name: string, values: NumberArray): Failure {
  const at = values.findIndex((value) => !Number.isFinite(value));
  return failure(
    "model_failed",
    `Output ${quoted(name)} has ${String(values[at])} at element ${at}, which JSON cannot carry; ask for binary output to get it`,
  );
}
