/** What `Predict` means for a model: features or a prompt to a tensor, outputs to a class and a confidence. */
import type { inference } from "@spillway/protocol";
import { bytesOf, elementCount, encodeBytesElements, type Datatype } from "@spillway/protocol/tensors";
import type { LoadedModel } from "../model/loaded-model.ts";
import type { Refusal } from "../refusal.ts";
import { refuse } from "../refusal.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";

/** A class and how sure the model is of it, 0 to 1. */
export interface Prediction {
  readonly classId: number;
  readonly confidence: number;
}

/** Arrays that plain numbers become. */
const arrays = {
  FP32: Float32Array,
  FP64: Float64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
} as const;

/** The one tensor a request means, one row. */
export function predictInput(model: LoadedModel, request: inference.PredictRequest): Tensor | Refusal {
  const { features, prompt } = request;
  if (features.length > 0 && prompt !== "")
    return refuse("invalid", "expected features or a prompt, got both");
  if (prompt !== "") return promptInput(model, prompt);
  if (features.length > 0) return featureInput(model, features);
  return refuse("invalid", "expected features or a prompt, got neither");
}

function promptInput(model: LoadedModel, prompt: string): Tensor | Refusal {
  const spec = model.engine.inputs.find((input) => input.name === model.task.input.prompt);
  if (spec === undefined) return refuse("invalid", `model "${model.name}" takes no prompt`);
  const data = encodeBytesElements([new TextEncoder().encode(prompt)]);
  return { name: spec.name, datatype: "BYTES", shape: spec.shape.map(() => 1), data };
}

function featureInput(model: LoadedModel, features: readonly number[]): Tensor | Refusal {
  const spec = model.engine.inputs.find((input) => input.name === model.task.input.features);
  if (spec === undefined) return refuse("invalid", `model "${model.name}" takes no features`);
  const shape = featureShape(spec, features.length);
  if (shape === undefined)
    return refuse(
      "invalid",
      `model "${model.name}": expected ${featureCount(spec)} features, got ${features.length}`,
    );
  const data = numberBytes(spec.datatype, features);
  if (data === undefined)
    return refuse("invalid", `model "${model.name}": expected features that fit ${spec.datatype}`);
  return { name: spec.name, datatype: spec.datatype, shape, data };
}

/** One row of all the features; a single free dimension takes what the fixed ones leave. */
function featureShape(spec: TensorSpec, count: number): number[] | undefined {
  const shape = spec.shape.map((size, index) => (index === 0 && size < 0 ? 1 : size));
  const fixed = elementCount(shape.filter((size) => size >= 0));
  const free = shape.filter((size) => size < 0).length;
  if (free > 1 || fixed === 0 || count % fixed !== 0) return undefined;
  const filled = shape.map((size) => (size < 0 ? count / fixed : size));
  return elementCount(filled) === count ? filled : undefined;
}

function featureCount(spec: TensorSpec): string {
  const fixed = elementCount(spec.shape.filter((size) => size >= 0));
  return spec.shape.slice(1).some((size) => size < 0) ? `a multiple of ${fixed}` : String(fixed);
}

/** Undefined where the datatype cannot hold every one of the numbers. */
function numberBytes(datatype: Datatype, values: readonly number[]): Uint8Array | undefined {
  const whole = values.every((value) => Number.isSafeInteger(value));
  if (datatype === "INT64") return whole ? bytesOf(BigInt64Array.from(values, BigInt)) : undefined;
  if (datatype === "UINT64") return whole ? bytesOf(BigUint64Array.from(values, BigInt)) : undefined;
  if (!(datatype in arrays)) return undefined;
  const filled = arrays[datatype as keyof typeof arrays].from(values);
  const exact =
    datatype === "FP32" || datatype === "FP64" || filled.every((value, index) => value === values[index]);
  return exact ? bytesOf(filled) : undefined;
}

/** The row's class: the highest score, or the count of a model that counts. */
export function readPrediction(model: LoadedModel, outputs: readonly Tensor[]): Prediction | Refusal {
  const { scores, count, classes } = model.task.outputs;
  const find = (name: string | undefined) => outputs.find((output) => output.name === name);
  const scoreTensor = find(scores);
  if (scoreTensor !== undefined) return bestClass(scoreTensor, find(classes));
  const countTensor = find(count);
  if (countTensor !== undefined)
    return { classId: Math.round(numbersOf(countTensor)[0] ?? 0), confidence: 1 };
  return refuse(
    "precondition",
    `model "${model.name}" has no output for scores or count; set outputs in its model.yaml`,
  );
}

/** One score is the probability of class 1; of several the highest wins, the first at a tie. */
function bestClass(scores: Tensor, classes: Tensor | undefined): Prediction {
  const row = numbersOf(scores);
  const [only = 0] = row;
  if (row.length === 1)
    return only >= 0.5 ? { classId: 1, confidence: only } : { classId: 0, confidence: 1 - only };
  let best = 0;
  row.forEach((score, index) => {
    if (score > (row[best] ?? -Infinity)) best = index;
  });
  const named = classes === undefined ? undefined : numbersOf(classes)[0];
  return { classId: named ?? best, confidence: row[named ?? best] ?? row[best] ?? 0 };
}

/** The numbers of a tensor of one row; empty for datatypes that are no plain numbers. */
function numbersOf({ datatype, data }: Tensor): number[] {
  const aligned = new Uint8Array(data).buffer;
  if (datatype === "INT64") return Array.from(new BigInt64Array(aligned), Number);
  if (!(datatype in arrays)) return [];
  return Array.from(new arrays[datatype as keyof typeof arrays](aligned));
}
