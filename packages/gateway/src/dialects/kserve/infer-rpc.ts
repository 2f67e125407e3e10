/** `ModelInfer` and `ModelStreamInfer` over gRPC. */
import { inference } from "@spillway/protocol";
import type { RouteResult, RpcCall } from "../../contracts/route.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { createRequest } from "../request.ts";
import { bindTensors } from "../tensors/bind-tensors.ts";
import type { KserveDeps } from "./deps.ts";
import { eachField, wireTypes } from "./message-fields.ts";
import { readRpcInfer, type RpcInferBody } from "./read-rpc-infer.ts";
import { priorityOf, timeoutMsOf } from "./schedule.ts";
import { weighRpcInfer } from "./weigh-rpc-infer.ts";
import { writeRpcInfer, type WriteRpcOptions } from "./write-rpc-infer.ts";

/** Handles one request message. Large typed contents are decoded in a thread. */
export function handleRpcInfer(
  deps: KserveDeps,
  call: RpcCall,
  wrap: WriteRpcOptions["wrap"],
): RouteResult | Promise<RouteResult> {
  const body = call.message;
  const { limits } = deps.jsonThreads;
  const inPlace = (): RouteResult => toRequest(deps, call, wrap, readRpcInfer({ body }));
  if (body.length <= limits.parseInPlaceBytes) return inPlace();
  const { values, scatteredBytes } = weighRpcInfer(body, limits.maxValues);
  if (values > limits.maxValues)
    return failure(
      "body_too_large",
      `The message holds more than ${limits.maxValues} values in typed contents; send raw_input_contents`,
    );
  if (scatteredBytes <= limits.parseInPlaceBytes) return inPlace();
  // The door may hold the message in a buffer of its own, so the thread gets a copy.
  return deps.jsonThreads
    .read("readRpcInfer", { body: body.slice() }, call.cancellation)
    .then((request) => toRequest(deps, call, wrap, request));
}

function toRequest(
  deps: KserveDeps,
  call: RpcCall,
  wrap: WriteRpcOptions["wrap"],
  request: RpcInferBody | Failure,
): RouteResult {
  if (isFailure(request)) return request;
  const outputs = request.outputs?.map((output) => output.name);
  return createRequest(call, {
    model: request.model,
    version: request.version,
    payload: {
      kind: "tensors",
      bind: (model) => bindTensors(model, { inputs: request.inputs, outputs }),
      write: (answer) => writeRpcInfer(answer, { request, wrap, threads: deps.jsonThreads }),
    },
    timeoutMs: timeoutMsOf(request.parameters, deps.defaults.requestTimeoutMs, call.timeoutMs),
    priority: priorityOf(request.parameters.priorityLevel),
  });
}

/** Numbers of fields of `ModelInferRequest`. */
const fields = { modelName: 1, id: 3 } as const;

/** A failed message of a stream: the text, and the id of the request so that the client can tell which one. */
export function encodeStreamError(reason: Failure, { message }: RpcCall): Uint8Array {
  const texts = new Map<number, string>();
  eachField(message, { from: 0, to: message.length }, ({ number, type, from, to }) => {
    const isText =
      type === wireTypes.lengthDelimited && (number === fields.id || number === fields.modelName);
    if (isText) texts.set(number, Buffer.from(message.subarray(from, to)).toString("utf8"));
    return texts.size < 2;
  });
  return inference.ModelStreamInferResponse.encode({
    errorMessage: reason.message,
    inferResponse: { id: texts.get(fields.id) ?? "", modelName: texts.get(fields.modelName) ?? "" },
  }).finish();
}
