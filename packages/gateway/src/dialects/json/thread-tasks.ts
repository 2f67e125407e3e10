/** What a thread can be asked to do. Pure functions from plain values to plain values; the thread and tests run the same ones. */
import { isFailure, type Failure } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { InferBody } from "../kserve/infer-body.ts";
import { readInferBody, type InferBytes } from "../kserve/read-infer.ts";
import { readRpcInfer, type RpcInferBody } from "../kserve/read-rpc-infer.ts";
import { encodeTypedOutputs } from "../kserve/typed-contents.ts";
import { readPredictBody, type PredictBody } from "../predict/read-predict.ts";
import { readInstances, type InstancesBody } from "../tfserving/read-instances.ts";
import { predictionsText, type PredictionTensors } from "../tfserving/predictions-text.ts";
import { valuesText } from "../tensors/write-values.ts";
import { translationTasks } from "../translation-tasks.ts";
import type { JsonLimits } from "./scan-json.ts";

/** A tensor's text as bytes, ready for a socket. */
export interface EncodedValues {
  readonly json: Uint8Array;
  readonly contentType: "base64" | undefined;
}

/** The tasks by name. */
export const threadTasks = {
  ...translationTasks,
  /** Reads a v2 inference request. */
  readInfer: (input: InferBytes, limits: JsonLimits): InferBody | Failure => readInferBody(input, limits),
  /** Reads the JSON of a prediction request. */
  readPredict: (input: { readonly body: Uint8Array }, limits: JsonLimits): PredictBody | Failure =>
    readPredictBody(input, limits),
  /** Reads the JSON of a `:predict` request. */
  readInstances: (input: { readonly body: Uint8Array }, limits: JsonLimits): InstancesBody | Failure =>
    readInstances(input, limits),
  /** Reads a v2 inference request that came over gRPC with typed contents. */
  readRpcInfer: (input: { readonly body: Uint8Array }): RpcInferBody | Failure => readRpcInfer(input),
  /** Writes outputs with typed contents for gRPC. */
  writeTyped: (tensors: readonly Tensor[]): Uint8Array | Failure => encodeTypedOutputs(tensors),
  /** Writes the value of `predictions` or `outputs`. */
  writePredictions: (request: PredictionTensors): Uint8Array | Failure => {
    const text = predictionsText(request);
    return typeof text === "string" ? Buffer.from(text, "utf8") : text;
  },
  /** Writes tensors as JSON arrays, leaving out what is undefined. */
  writeValues: (tensors: readonly (Tensor | undefined)[]): (EncodedValues | undefined)[] | Failure => {
    const texts: (EncodedValues | undefined)[] = [];
    for (const tensor of tensors) {
      const text = tensor === undefined ? undefined : valuesText(tensor);
      if (text !== undefined && isFailure(text)) return text;
      texts.push(text && { json: Buffer.from(text.json, "utf8"), contentType: text.contentType });
    }
    return texts;
  },
} as const;

/** The tasks' types by name. */
export type ThreadTasks = typeof threadTasks;
