/**
 * A model behind `inference.ModelInference/Predict`: one request a call, features or a prompt in, a
 * class and its confidence out (proto/inference.proto).
 */
import type { GrpcChannel } from "@spillway/grpc";
import { inference } from "@spillway/protocol";
import { failure, isFailure, type Failure } from "../core/errors.ts";
import type { ServedModel } from "../core/model.ts";
import type { BoundTensors } from "../core/request.ts";
import type { Tensor } from "../core/tensor.ts";
import { classifyFailure } from "./grpc-instance.ts";
import type { Host } from "./host.ts";
import type { InstanceAnswer, InstanceHandler, ModelInstance } from "./model-instance.ts";

const predictPath = "/inference.ModelInference/Predict";

/** What an instance is made of. */
export interface PredictInstanceOptions {
  readonly id: string;
  readonly host: Host;
  readonly channel: GrpcChannel;
  /** Sent as `model_name`. */
  readonly model: string;
}

/**
 * A model of a server that describes nothing: features or a prompt, one row; `class_id` and
 * `confidence` back. The server knows no versions, so it has the version 1.
 */
export function predictModel(name: string): ServedModel {
  return {
    name,
    version: "1",
    platform: "model-inference",
    inputs: [
      { name: "features", datatype: "FP32", shape: [1, -1], optional: true },
      { name: "prompt", datatype: "BYTES", shape: [1], optional: true },
    ],
    outputs: [
      { name: "class_id", datatype: "INT32", shape: [1] },
      { name: "confidence", datatype: "FP32", shape: [1] },
    ],
    task: undefined,
    mapping: { features: "features", prompt: "prompt", image: undefined },
    batchable: false,
    maxBatch: 1,
    mock: false,
  };
}

/** A model that is called with `Predict`. An answer with `error` set is a failure of the model. */
export function createPredictInstance(options: PredictInstanceOptions): ModelInstance {
  const { id, host, channel, model } = options;
  return {
    id,
    host,
    infer(call, handler) {
      const message = encodePredictRequest(model, call.requests);
      if (isFailure(message)) return refuseLater(handler, message);
      return channel.unary(
        { path: predictPath, message: [message] },
        {
          done: (answer) => deliver(answer, call.requests, handler),
          failed: (reason) => handler.failed(classifyFailure(reason, channel)),
        },
      );
    },
  };
}

/** No handler runs inside `infer`: its caller is not ready for the answer yet. */
function refuseLater(handler: InstanceHandler, reason: Failure): { cancel(): void } {
  let cancelled = false;
  queueMicrotask(() => {
    if (!cancelled) handler.failed({ kind: "refused", failure: reason });
  });
  return { cancel: () => void (cancelled = true) };
}

/** The message for one request, or a failure that says what the server takes. */
export function encodePredictRequest(model: string, requests: readonly BoundTensors[]): Uint8Array | Failure {
  const [request] = requests;
  if (request === undefined || requests.length > 1)
    return failure("internal", `${requests.length} requests in a call that carries one`);
  const features = request.inputs.find((input) => input.name === "features");
  const prompt = request.inputs.find((input) => input.name === "prompt");
  if ((features === undefined) === (prompt === undefined))
    return failure("invalid_tensor", "Expected exactly one of the inputs features and prompt");
  return inference.PredictRequest.encode({
    modelName: model,
    ...(features === undefined ? {} : { features: readFloats(features) }),
    ...(prompt === undefined ? {} : { prompt: readText(prompt) }),
  }).finish();
}

function readFloats(tensor: Tensor): number[] {
  const { buffer, byteOffset, byteLength } = tensor.data;
  const view = new DataView(buffer, byteOffset, byteLength);
  return Array.from({ length: byteLength / 4 }, (_, index) => view.getFloat32(index * 4, true));
}

/** The only element of a BYTES tensor: a length in four bytes and the text. */
function readText(tensor: Tensor): string {
  return new TextDecoder().decode(tensor.data.subarray(4));
}

function deliver(message: Uint8Array, requests: readonly BoundTensors[], handler: InstanceHandler): void {
  let answer: InstanceAnswer | Failure;
  try {
    answer = readAnswer(message, requests[0]?.outputs);
  } catch (error) {
    const text = `The model server sent an answer that cannot be read: ${error instanceof Error ? error.message : ""}`;
    answer = failure("bad_upstream_answer", text);
  }
  if (isFailure(answer)) handler.failed({ kind: "refused", failure: answer });
  else handler.answered(answer);
}

function readAnswer(message: Uint8Array, wanted: readonly string[] | undefined): InstanceAnswer | Failure {
  const { classId, confidence, error } = inference.PredictResponse.decode(message);
  if (error !== "") return failure("model_failed", error);
  const outputs = [
    { name: "class_id", datatype: "INT32", shape: [1], data: bytesOf(Int32Array.of(classId)) },
    { name: "confidence", datatype: "FP32", shape: [1], data: bytesOf(Float32Array.of(confidence)) },
  ] as const satisfies Tensor[];
  const named = outputs.filter((output) => wanted === undefined || wanted.includes(output.name));
  return { outputs: [named], computeNs: undefined, preprocessNs: undefined };
}

function bytesOf(values: Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(values.buffer);
}
