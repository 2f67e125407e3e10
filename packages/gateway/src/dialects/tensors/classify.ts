/**
 * What the outputs of a model say as a class: by its task where it has one, else by what outputs of
 * foreign servers look like. Only this file interprets outputs.
 */
import { decodeBytesElements } from "@spillway/protocol/tensors";
import { failure, type Failure } from "../../core/errors.ts";
import type { ServedModel } from "../../core/model.ts";
import type { TensorAnswer } from "../../core/request.ts";
import type { Tensor } from "../../core/tensor.ts";
import { quoted, shownSpecs } from "./describe.ts";
import { shortFloat } from "./float-text.ts";
import { roundedNumbers, type NumberArray } from "./numbers.ts";

/** One row's class. */
export interface Classification {
  /** -1 where no class is claimed: the confidence is below the model's threshold, or a foreign label is none of the model's. */
  readonly classId: number;
  /** 0 to 1; 1 where a server names a class or a count without a score. */
  readonly confidence: number;
  /** Empty where the model has no labels or no class is claimed. */
  readonly label: string;
  /** The score of every class; undefined where there are none. */
  readonly scores: readonly number[] | undefined;
}

/** The part of an answer that says a class. */
export type ModelOutputs = Pick<TensorAnswer, "model" | "outputs">;

/** The class of every row of an answer, `rows` in sum. */
export function classifyRows(answer: ModelOutputs, rows: number): Classification[] | Failure {
  const classes = readClasses(answer, rows);
  if (!Array.isArray(classes)) return classes;
  const threshold = answer.model.task?.thresholds.confidence;
  return threshold === undefined ? classes : classes.map((row) => claimed(row, threshold));
}

function claimed(row: Classification, threshold: number): Classification {
  return row.confidence >= threshold ? row : { ...row, classId: -1, label: "" };
}

function readClasses({ model, outputs }: ModelOutputs, rows: number): Classification[] | Failure {
  const byName = (name: string | undefined): Tensor | undefined =>
    name === undefined ? undefined : outputs.find((output) => output.name === name);
  const roles = model.task?.outputs ?? {};
  const scores = byName(roles.scores);
  if (scores !== undefined) return fromScores(model, { scores, classes: byName(roles.classes), rows });
  const count = byName(roles.count) ?? byName(roles.classes);
  if (count !== undefined) return fromNumbers(model, count, rows);
  return guess(model, outputs, rows);
}

/** The `class_id` and `confidence` of a ModelInference server; else the widest floats are scores; else the only output names the class. */
function guess(model: ServedModel, outputs: readonly Tensor[], rows: number): Classification[] | Failure {
  const id = outputs.find((output) => output.name === "class_id");
  const confidence = outputs.find((output) => output.name === "confidence");
  if (id !== undefined && confidence !== undefined) return fromPairs(model, { id, confidence, rows });
  const scores = outputs.find((output) => isFloat(output) && widthOf(output, rows) > 1);
  if (scores !== undefined) return fromScores(model, { scores, classes: undefined, rows });
  const only = outputs.find((output) => widthOf(output, rows) === 1);
  if (only === undefined) return noClass(model, outputs);
  if (only.datatype === "BYTES") return fromLabels(model, only);
  return isFloat(only) && !holdsWholeNumbers(only)
    ? fromScores(model, { scores: only, classes: undefined, rows })
    : fromNumbers(model, only, rows);
}

function noClass(model: ServedModel, outputs: readonly Tensor[]): Failure {
  return failure(
    "bad_request",
    `Model ${quoted(model.name)} answers ${shownSpecs(outputs)}, which names no class; set task and outputs in its model.yaml, or ask for its tensors through /v2/models/${model.name}/infer`,
  );
}

function isFloat({ datatype }: Tensor): boolean {
  return datatype === "FP32" || datatype === "FP64" || datatype === "FP16" || datatype === "BF16";
}

function widthOf(tensor: Tensor, rows: number): number {
  let count = 1;
  for (const dimension of tensor.shape) count *= dimension;
  return count / rows;
}

function holdsWholeNumbers(tensor: Tensor): boolean {
  return (roundedNumbers(tensor) ?? []).every((value) => Number.isInteger(value));
}

function unreadable(model: ServedModel, output: Tensor): Failure {
  return failure(
    "bad_upstream_answer",
    `Model ${quoted(model.name)}: output ${quoted(output.name)} does not hold one or more numbers a row`,
  );
}

interface ScoreTensors {
  readonly scores: Tensor;
  /** Names the class in place of the highest score. */
  readonly classes: Tensor | undefined;
  readonly rows: number;
}

function fromScores(model: ServedModel, { scores, classes, rows }: ScoreTensors): Classification[] | Failure {
  const values = roundedNumbers(scores);
  const width = (values?.length ?? 0) / rows;
  if (values === undefined || !Number.isInteger(width) || width < 1) return unreadable(model, scores);
  const named = classes === undefined ? undefined : roundedNumbers(classes);
  const found: Classification[] = [];
  for (let row = 0; row < rows; row++) {
    const slice = probabilities(model, printable(scores, values.subarray(row * width, (row + 1) * width)));
    if (!slice.every(Number.isFinite))
      return failure("model_failed", `Model ${quoted(model.name)} answered scores that are no numbers`);
    const best = bestClass(slice, named?.[row]);
    found.push({ ...best, label: labelOf(model, best.classId), scores: slice });
  }
  return found;
}

/** Scores as they are to be printed: 32-bit floats without the digits that only their doubles have. */
function printable({ datatype }: Tensor, values: NumberArray): number[] {
  return Array.from(values, datatype === "FP32" ? shortFloat : Number);
}

/**
 * A model with a task is taken at its word. Scores of others that cannot be probabilities, since one
 * is below 0 or above 1, are taken for logits: their softmax gives the confidence.
 */
function probabilities(model: ServedModel, scores: number[]): number[] {
  if (model.task !== undefined || scores.every((score) => score >= 0 && score <= 1)) return scores;
  const highest = Math.max(...scores);
  if (!Number.isFinite(highest)) return scores;
  const powers = scores.map((score) => Math.exp(score - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** One score is the probability of class 1; of several the highest wins, the first at a tie. Expects finite scores. */
function bestClass(
  scores: readonly number[],
  named: number | undefined,
): Pick<Classification, "classId" | "confidence"> {
  const [only = 0] = scores;
  if (scores.length === 1)
    return only >= 0.5 ? { classId: 1, confidence: only } : { classId: 0, confidence: shortFloat(1 - only) };
  let best = 0;
  for (let i = 1; i < scores.length; i++) if ((scores[i] ?? 0) > (scores[best] ?? 0)) best = i;
  const classId = named ?? best;
  return { classId, confidence: scores[classId] ?? scores[best] ?? 0 };
}

function labelOf(model: ServedModel, classId: number): string {
  return model.task?.labels[classId] ?? "";
}

/** A class, or a count, a row and no score. */
function fromNumbers(model: ServedModel, output: Tensor, rows: number): Classification[] | Failure {
  const values = roundedNumbers(output);
  if (values?.length !== rows) return unreadable(model, output);
  return Array.from(values, (value) => {
    const classId = Math.round(value);
    return { classId, confidence: 1, label: labelOf(model, classId), scores: undefined };
  });
}

interface PairTensors {
  readonly id: Tensor;
  readonly confidence: Tensor;
  readonly rows: number;
}

function fromPairs(model: ServedModel, { id, confidence, rows }: PairTensors): Classification[] | Failure {
  const ids = roundedNumbers(id);
  const scores = roundedNumbers(confidence);
  if (ids?.length !== rows) return unreadable(model, id);
  if (scores?.length !== rows) return unreadable(model, confidence);
  const shown = printable(confidence, scores);
  return Array.from(ids, (classId, row) => ({
    classId,
    confidence: shown[row] ?? 0,
    label: labelOf(model, classId),
    scores: undefined,
  }));
}

/** The server names the class by its label. */
function fromLabels(model: ServedModel, output: Tensor): Classification[] | Failure {
  const elements = decodeBytesElements(output.data);
  if (elements === undefined) return unreadable(model, output);
  return elements.map((element) => {
    const label = Buffer.from(element).toString("utf8");
    return { classId: model.task?.labels.indexOf(label) ?? -1, confidence: 1, label, scores: undefined };
  });
}
