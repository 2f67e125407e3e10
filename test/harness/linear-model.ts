/** One-layer ONNX models whose answers tell which file they came from. */
import assert from "node:assert/strict";
import { buildMlp, mlpWeights } from "./onnx-build.ts";

/** Width of the output. */
const outputs = 3;

/** Loads quickly: nothing is measured. */
export const linearYaml = "batching: { maxBatch: 8 }";

/** A model file; another seed is another model. Input `x` FP32 [-1, width], output `y` FP32 [-1, 3]. */
export function linearModel(seed: number, width = 4): Uint8Array {
  return buildMlp({ layers: [width, outputs], seed });
}

/** What the model of that seed answers to one row. */
function linearAnswer(seed: number, row: readonly number[]): number[] {
  const [layer] = mlpWeights({ layers: [row.length, outputs], seed });
  return Array.from(layer!.bias, (bias, output) =>
    row.reduce((sum, value, input) => sum + value * layer!.weights[input * outputs + output]!, bias),
  );
}

/** Which of the seeds answered so; fails when none of them did. */
export function seedOf(answer: readonly number[], row: readonly number[], seeds: readonly number[]): number {
  const seed = seeds.find((candidate) =>
    linearAnswer(candidate, row).every((value, i) => Math.abs(value - answer[i]!) < 1e-4),
  );
  assert.ok(
    seed !== undefined,
    `[${answer.join(", ")}] is not what one of the seeds ${seeds.join(", ")} answers`,
  );
  return seed;
}
