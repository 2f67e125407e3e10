/** Answers of `:predict`: rows as `predictions`, columns as `outputs`. */
import { wireAnswer } from "../../contracts/route.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { TensorAnswer, WireAnswer } from "../../core/request.ts";
import { answerHeaders } from "../answer-headers.ts";
import type { JsonThreads } from "../json/json-threads.ts";
import { predictionsText, type PredictionTensors } from "./predictions-text.ts";

/** How an answer is to look. */
export interface WritePredictionsOptions {
  readonly form: "rows" | "columns";
  /** Rows that were asked. */
  readonly rows: number;
  readonly threads: JsonThreads;
}

/** Writes an answer; a promise where so many numbers become text that a thread does it. */
export function writePredictions(
  answer: TensorAnswer,
  options: WritePredictionsOptions,
): WireAnswer | Failure | Promise<WireAnswer | Failure> {
  const { form, rows, threads } = options;
  const request: PredictionTensors = {
    rows: form === "rows" ? rows : "one",
    tensors: answer.outputs,
    classifier: isClassifier(answer) ? answer.model : undefined,
  };
  let bytes = 0;
  for (const { data } of answer.outputs) bytes += data.length;
  if (bytes <= threads.limits.writeInPlaceBytes) return toAnswer(answer, form, predictionsText(request));
  return threads.writePredictions(request).then((text) => toAnswer(answer, form, text));
}

function isClassifier({ model }: TensorAnswer): boolean {
  return model.task?.kind === "classify" || model.task?.outputs.scores !== undefined;
}

function toAnswer(
  answer: TensorAnswer,
  form: WritePredictionsOptions["form"],
  text: string | Uint8Array | Failure,
): WireAnswer | Failure {
  if (typeof text === "object" && isFailure(text)) return text;
  const head = `{${answer.model.mock ? '"mock":true,' : ""}"${form === "rows" ? "predictions" : "outputs"}":`;
  const body =
    typeof text === "string"
      ? [Buffer.from(`${head}${text}}\n`, "utf8")]
      : [Buffer.from(head), text, Buffer.from("}\n")];
  return wireAnswer(200, "application/json", body, answerHeaders(answer));
}
