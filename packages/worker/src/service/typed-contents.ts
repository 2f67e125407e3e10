/** Typed tensor contents of KServe v2 to raw little-endian bytes: what clients without raw contents send. */
import { contentsField, rawContents, type inference } from "@spillway/protocol";
import { integerRanges, type Datatype } from "@spillway/protocol/tensors";

type Contents = inference.InferTensorContents.$Properties;

/** The bytes of a tensor given in typed arrays, or a sentence that says what does not fit. */
export function rawFromTyped(name: string, datatype: Datatype, contents: Contents): Uint8Array | string {
  const field = contentsField[datatype];
  if (field === undefined) return `input "${name}": ${datatype} is sent in raw_input_contents only`;
  for (const [other, values] of Object.entries(contents)) {
    if (other !== field && Array.isArray(values) && values.length > 0)
      return `input "${name}": expected ${toSnake(field)} for ${datatype}, got ${toSnake(other)}`;
  }
  const problem = misfit(datatype, contents);
  return problem === undefined ? rawContents(datatype, contents) : `input "${name}": ${problem}`;
}

/** Narrow integers travel as 32 bits; a value outside the datatype is refused rather than cut off. */
function misfit(datatype: Datatype, { intContents, uintContents }: Contents): string | undefined {
  if (!(datatype in integerRanges)) return undefined;
  const [min, max] = integerRanges[datatype as keyof typeof integerRanges];
  const values = (datatype.startsWith("U") ? uintContents : intContents) ?? [];
  const bad = values.findIndex((value) => value < min || value > max);
  return bad < 0 ? undefined : `${values[bad]} at place ${bad} does not fit ${datatype}`;
}

function toSnake(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
