/** The prediction's part of a request: features, prompt or picture in, a class out. */
import { isFailure, type Failure } from "../../core/errors.ts";
import type { ServedModel } from "../../core/model.ts";
import type { TensorAnswer, TensorPayload, WireAnswer } from "../../core/request.ts";
import { bindTensors } from "../tensors/bind-tensors.ts";
import { classifyRows, type Classification } from "../tensors/classify.ts";
import { plainTensor, type PlainInput } from "../tensors/plain-inputs.ts";

/** Writes a class in the words of one door. */
export type PredictionWriter = (
  model: ServedModel,
  prediction: Classification,
  answer: TensorAnswer,
) => WireAnswer;

/** The payload of one prediction. */
export function createPredictPayload(input: PlainInput, writePrediction: PredictionWriter): TensorPayload {
  return {
    kind: "tensors",
    bind: (model) => {
      const tensor = plainTensor(model, input);
      return isFailure(tensor) ? tensor : bindTensors(model, { inputs: [tensor], outputs: undefined });
    },
    write: (answer) => write(answer, writePrediction),
  };
}

function write(answer: TensorAnswer, writePrediction: PredictionWriter): WireAnswer | Failure {
  const rows = classifyRows(answer, 1);
  if (!Array.isArray(rows)) return rows;
  const [prediction] = rows;
  // One row was sent and `classifyRows` gives as many as it is asked for.
  if (prediction === undefined)
    return { code: "bad_upstream_answer", message: "The model server answered no row" };
  return writePrediction(answer.model, prediction, answer);
}
