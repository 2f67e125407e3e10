/** Whether rows may share a call: each row must get the answer it would get alone. */
import type { Engine } from "../engines/engine.ts";
import type { Tensor } from "../tensor.ts";
import { floatValues } from "../tensor.ts";
import { sampleInputs } from "./sample-inputs.ts";

/** Sums in another order differ by this share at most. */
const tolerance = 1e-3;

/**
 * Runs two rows alone and together. Undefined when the rows do not touch each other, else why they
 * must not share a call: an output's first dimension does not count rows, or a row's answer changes.
 */
export async function checkRows(engine: Engine): Promise<string | undefined> {
  const first = sampleInputs(engine.inputs, 1, 1);
  const second = sampleInputs(engine.inputs, 1, 2);
  const alone = [await engine.infer(first), await engine.infer(second)];
  const together = await engine.infer(first.map((tensor, index) => join(tensor, second[index] ?? tensor)));
  for (const output of together) {
    if (output.shape[0] !== 2)
      return `output "${output.name}" of two rows has the shape [${output.shape.join(",")}]: its first dimension does not count rows`;
    const halves = alone.map((outputs) => outputs.find((tensor) => tensor.name === output.name));
    if (!sameRows(output, halves)) return `the rows of one call change each other's "${output.name}"`;
  }
  return undefined;
}

function join(first: Tensor, second: Tensor): Tensor {
  const data = new Uint8Array(first.data.length + second.data.length);
  data.set(first.data);
  data.set(second.data, first.data.length);
  const [rows = 1, ...rest] = first.shape;
  return { ...first, shape: [rows * 2, ...rest], data };
}

function sameRows(together: Tensor, alone: readonly (Tensor | undefined)[]): boolean {
  // Whole numbers and texts may tip over at a tie of two sums, so only their number is compared.
  if (together.datatype !== "FP32") return true;
  const expected = alone.flatMap((tensor) => (tensor === undefined ? [] : [...floatValues(tensor.data)]));
  const values = floatValues(together.data);
  const scale = expected.reduce(
    (most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most),
    1e-6,
  );
  return (
    values.length === expected.length &&
    values.every((value, index) => {
      const other = expected[index] ?? NaN;
      return Object.is(value, other) || Math.abs(value - other) <= tolerance * scale;
    })
  );
}
