/** `POST …/infer` over HTTP. */
import type { HttpCall, RouteResult } from "../../contracts/route.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { headerValue } from "../../core/headers.ts";
import { createRequest } from "../request.ts";
import type { KserveDeps } from "./deps.ts";
import type { InferBody } from "./infer-body.ts";
import { createInferPayload, createRawPayload } from "./infer-payload.ts";
import { readInferBody } from "./read-infer.ts";
import { priorityOf, timeoutMsOf } from "./schedule.ts";

/** Handles an inference call: JSON, JSON with binary tensors, or a raw body. */
export function handleInfer(deps: KserveDeps, call: HttpCall): RouteResult | Promise<RouteResult> {
  const { body } = call;
  const jsonLength = jsonLengthOf(call);
  if (typeof jsonLength !== "number") return jsonLength;
  if (jsonLength === 0 && body.length > 0) return rawRequest(deps, call);
  const { limits } = deps.jsonThreads;
  if (jsonLength <= limits.parseInPlaceBytes)
    return toRequest(deps, call, readInferBody({ body, jsonLength }, limits));
  return deps.jsonThreads
    .read("readInfer", { body, jsonLength }, call.cancellation)
    .then((request) => toRequest(deps, call, request));
}

/** Length of the JSON part: the whole body without the binary extension's header, 0 for a raw request. */
function jsonLengthOf({ headers, body }: HttpCall): number | Failure {
  const header = headerValue(headers, "inference-header-content-length");
  if (header === undefined) return body.length;
  const length = /^\d{1,15}$/.test(header) ? Number(header) : undefined;
  if (length !== undefined && length <= body.length) return length;
  return failure(
    "bad_request",
    `Inference-Header-Content-Length: expected a whole number up to the ${body.length} bytes of the body, got "${header.slice(0, 40)}"`,
  );
}

function toRequest(deps: KserveDeps, call: HttpCall, request: InferBody | Failure): RouteResult {
  if (isFailure(request)) return request;
  const { model = "", version } = call.params;
  return createRequest(call, {
    model,
    version,
    payload: createInferPayload(request, deps.jsonThreads),
    timeoutMs: timeoutMsOf(request.parameters, deps.defaults.requestTimeoutMs),
    priority: priorityOf(request.parameters.priorityLevel),
  });
}

function rawRequest(deps: KserveDeps, call: HttpCall): RouteResult {
  const { model = "", version } = call.params;
  return createRequest(call, {
    model,
    version,
    payload: createRawPayload(call.body, deps.jsonThreads),
    timeoutMs: deps.defaults.requestTimeoutMs,
  });
}
