/** The text of `predictions` and `outputs`. Needs no thread of its own: a thread runs it too. */
import { failure, type Failure } from "../../core/errors.ts";
import type { ServedModel } from "../../core/model.ts";
import type { Tensor } from "../../core/tensor.ts";
import { classifyRows } from "../tensors/classify.ts";
import { quoted } from "../tensors/describe.ts";
import { nestedText, rowsOf } from "../tensors/nest-values.ts";

/** Tensors that become the text of `predictions` or `outputs`. */
export interface PredictionTensors {
  /** `one`: the answer is the tensors themselves. Else each is cut into that many rows. */
  readonly rows: number | "one";
  readonly tensors: readonly Tensor[];
  /** Set where the rows are to be told as classes. */
  readonly classifier: ServedModel | undefined;
}

/** The value of `predictions` or `outputs`: classes, or the only tensor, or an object of all by name. */
export function predictionsText({ rows, tensors, classifier }: PredictionTensors): string | Failure {
  if (rows === "one") return namedText(tensors);
  return classifier === undefined ? rowsText(tensors, rows) : classesText(classifier, tensors, rows);
}

function classesText(model: ServedModel, outputs: readonly Tensor[], rows: number): string | Failure {
  const classes = classifyRows({ model, outputs }, rows);
  if (!Array.isArray(classes)) return classes;
  return JSON.stringify(
    classes.map(({ classId, label, confidence, scores }) => ({
      class_id: classId,
      label,
      confidence,
      scores,
    })),
  );
}

function rowsText(tensors: readonly Tensor[], rows: number): string | Failure {
  const cut = tensors.map((tensor) => rowsOf(tensor, rows));
  const texts: string[] = [];
  for (let row = 0; row < rows; row++) {
    const values: Tensor[] = [];
    for (const [index, tensorRows] of cut.entries()) {
      const value = tensorRows[row];
      if (tensorRows.length !== rows || value === undefined) return missingRows(tensors[index], rows);
      values.push(value);
    }
    const text = namedText(values);
    if (typeof text !== "string") return text;
    texts.push(text);
  }
  return `[${texts.join(",")}]`;
}

function missingRows(tensor: Tensor | undefined, rows: number): Failure {
  return failure(
    "bad_upstream_answer",
    `Output ${quoted(tensor?.name ?? "")} does not have the ${rows} rows that were asked`,
  );
}

function namedText(tensors: readonly Tensor[]): string | Failure {
  const only = tensors[0];
  if (only !== undefined && tensors.length === 1) return nestedText(only);
  const members: string[] = [];
  for (const tensor of tensors) {
    const text = nestedText(tensor);
    if (typeof text !== "string") return text;
    members.push(`${JSON.stringify(tensor.name)}:${text}`);
  }
  return `{${members.join(",")}}`;
}
