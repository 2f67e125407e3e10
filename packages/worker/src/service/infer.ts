/** `ModelInfer` and `Predict`: the calls that run models. */
import { freeMemory, type MethodHandler, type UnaryServerCall } from "@spillway/grpc";
import { inference } from "@spillway/protocol";
import type { InferResult } from "../model/loaded-model.ts";
import type { ModelRegistry } from "../model/model-registry.ts";
import type { Refusal } from "../refusal.ts";
import { isRefusal, refuse } from "../refusal.ts";
import { readInferCall, writeInferAnswer } from "./infer-messages.ts";
import { answerRefusal, decodeMessage } from "./method.ts";
import { predictInput, readPrediction } from "./predict.ts";

/** `inference.GRPCInferenceService/ModelInfer`. A call that is cancelled before its turn is never run. */
export function modelInfer(registry: ModelRegistry): MethodHandler {
  return {
    kind: "unary",
    handle(call) {
      const request = decodeMessage(inference.ModelInferRequest, call.message);
      const wanted = isRefusal(request) ? request : readInferCall(request);
      if (isRefusal(wanted)) return answerRefusal(call, wanted);
      const model = registry.find(wanted.model, wanted.version);
      if (isRefusal(model)) return answerRefusal(call, model);
      const { inputs, outputs } = wanted;
      model.infer({ inputs, outputs, isCancelled: watchCancel(call) }, (result) => {
        if (isRefusal(result)) answerRefusal(call, result);
        else call.respond(writeInferAnswer(model, wanted.id, result), [], () => freeMemory(call.message));
      });
    },
  };
}

/** `inference.ModelInference/Predict`. A refused request is a gRPC status, as every client can tell. */
export function predict(registry: ModelRegistry): MethodHandler {
  return {
    kind: "unary",
    handle(call) {
      const request = decodeMessage(inference.PredictRequest, call.message);
      if (isRefusal(request)) return answerRefusal(call, request);
      if (request.modelName === "")
        return answerRefusal(call, refuse("invalid", "model_name: expected a model's name"));
      const model = registry.find(request.modelName, "");
      if (isRefusal(model)) return answerRefusal(call, model);
      const input = predictInput(model, request);
      if (isRefusal(input)) return answerRefusal(call, input);
      const done = (result: InferResult | Refusal) => {
        const prediction = isRefusal(result) ? result : readPrediction(model, result.outputs);
        if (isRefusal(prediction)) return answerRefusal(call, prediction);
        call.respond([inference.PredictResponse.encode(prediction).finish()]);
      };
      model.infer({ inputs: [input], outputs: [], isCancelled: watchCancel(call) }, done);
    },
  };
}

/** Whether the caller has gone. */
function watchCancel(call: UnaryServerCall): () => boolean {
  let cancelled = false;
  call.onCancel(() => (cancelled = true));
  return () => cancelled;
}
