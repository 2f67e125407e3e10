/**
 * The classification extension: an output becomes BYTES of its n best classes, `value:index:label`.
 * Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md
 */
import { failure, type Failure } from "../../core/errors.ts";
import type { ServedModel } from "../../core/model.ts";
import type { Tensor } from "../../core/tensor.ts";
import { encodeTexts } from "../tensors/encode-texts.ts";
import { quoted, shownShape } from "../tensors/describe.ts";
import { shortFloat } from "../tensors/float-text.ts";
import { roundedNumbers, type NumberArray } from "../tensors/numbers.ts";

/** Sorting more elements than this would hold the loop. */
const maxElements = 100_000;

/** The output's `classes` best classes in each row, best first; ties in the order of the classes. */
export function classified(model: ServedModel, output: Tensor, classes: number): Tensor | Failure {
  const values = roundedNumbers(output);
  if (values === undefined)
    return failure("bad_request", `Output ${quoted(output.name)} is ${output.datatype}: it has no classes`);
  if (values.length > maxElements)
    return failure(
      "bad_request",
      `Output ${quoted(output.name)} has ${values.length} elements; at most ${maxElements} are classified`,
    );
  const rows = model.batchable ? (output.shape[0] ?? 1) : 1;
  const width = rows > 0 ? values.length / rows : 0;
  if (!Number.isInteger(width) || width < 1)
    return failure(
      "bad_request",
      `Output ${quoted(output.name)} with shape ${shownShape(output.shape)} has no classes`,
    );
  const count = Math.min(classes, width);
  const labels = labelsOf(model, output.name);
  const texts: string[] = [];
  for (let row = 0; row < rows; row++)
    texts.push(
      ...bestOf(values.subarray(row * width, (row + 1) * width), {
        count,
        labels,
        datatype: output.datatype,
      }),
    );
  const shape = model.batchable ? [rows, count] : [count];
  return { name: output.name, datatype: "BYTES", shape, data: encodeTexts(texts) };
}

function labelsOf(model: ServedModel, output: string): readonly string[] {
  const task = model.task;
  if (task === undefined) return [];
  return (task.outputs.scores ?? output) === output ? task.labels : [];
}

interface BestOptions {
  readonly count: number;
  readonly labels: readonly string[];
  readonly datatype: Tensor["datatype"];
}

function bestOf(values: NumberArray, { count, labels, datatype }: BestOptions): string[] {
  return bestIndexes(values, count).map((index) => {
    const value = values[index] ?? 0;
    const text = `${datatype === "FP32" ? shortFloat(value) : value}:${index}`;
    const label = labels[index];
    return label === undefined ? text : `${text}:${label}`;
  });
}

/** Up to this many are kept in order while looking; for more, sorting all is cheaper. */
const maxInserted = 32;

/** Places of the `count` largest values, largest first, NaN last, ties in order. */
function bestIndexes(values: NumberArray, count: number): number[] {
  const rank = (index: number): number => {
    const value = values[index] ?? Number.NaN;
    return Number.isNaN(value) ? -Infinity : value;
  };
  if (count > maxInserted) {
    const all = Array.from(values, (_, index) => index);
    return all.toSorted((a, b) => compare(rank(b), rank(a))).slice(0, count);
  }
  const best: number[] = [];
  for (let index = 0; index < values.length; index++) {
    if (best.length === count && rank(index) <= rank(best[count - 1] ?? 0)) continue;
    if (best.length === count) best.pop();
    let place = best.length;
    while (place > 0 && rank(best[place - 1] ?? 0) < rank(index)) place--;
    best.splice(place, 0, index);
  }
  return best;
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
