/**
 * `ModelInfer` of the Open Inference Protocol v2 for a batch: one message for several requests,
 * with raw tensor contents that are neither joined before sending nor copied after receiving.
 * https://github.com/kserve/open-inference-protocol (specification/protocol/open_inference_grpc.proto)
 */
import { fieldHead, inference, rawContents } from "@spillway/protocol";
import { datatypeBytes, elementCount, isDatatype, type Datatype } from "@spillway/protocol/tensors";
import type { Tensor } from "../core/tensor.ts";
import type { BoundTensors } from "../core/request.ts";

/** Number of the field `raw_input_contents`. */
const rawInputField = 7;

/** Which model of the server. */
export interface ModelAddress {
  readonly name: string;
  /** Empty: the server's choice. */
  readonly version: string;
  /** Named in a call that wants all, for servers that else answer a choice of their own (MLServer). */
  readonly outputs?: readonly string[];
}

/** The pieces of one `ModelInferRequest`: a head, then every input's bytes as they lie in the requests. */
export function encodeInferRequest(model: ModelAddress, requests: readonly BoundTensors[]): Uint8Array[] {
  const first = requests[0];
  if (first === undefined) throw new RangeError("a call needs at least one request");
  const outputs = (first.outputs ?? model.outputs)?.map((name) => ({ name }));
  const head = inference.ModelInferRequest.encode({
    modelName: model.name,
    modelVersion: model.version,
    inputs: first.inputs.map((input, index) => ({
      name: input.name,
      datatype: input.datatype,
      shape: joinedShape(requests, index),
    })),
    ...(outputs === undefined ? {} : { outputs }),
  }).finish();
  const pieces: Uint8Array[] = [head];
  for (let index = 0; index < first.inputs.length; index++) appendRaw(pieces, requests, index);
  return pieces;
}

/** One request's shape as it is; several share all dimensions but the first, which are added up. */
function joinedShape(requests: readonly BoundTensors[], index: number): number[] {
  const shape = [...(requests[0]?.inputs[index]?.shape ?? [])];
  if (requests.length === 1) return shape;
  let rows = 0;
  for (const request of requests) rows += request.inputs[index]?.shape[0] ?? 0;
  shape[0] = rows;
  return shape;
}

/** Protobuf lets fields follow in any order, so the raw contents may stand behind the encoded head. */
function appendRaw(pieces: Uint8Array[], requests: readonly BoundTensors[], index: number): void {
  let bytes = 0;
  for (const request of requests) bytes += request.inputs[index]?.data.length ?? 0;
  pieces.push(fieldHead(rawInputField, bytes));
  for (const request of requests) {
    const data = request.inputs[index]?.data;
    if (data !== undefined && data.length > 0) pieces.push(data);
  }
}

/** A decoded `ModelInferResponse`. */
export interface InferResponse {
  readonly outputs: readonly Tensor[];
  /** Nanoseconds, from the parameters our worker sends. */
  readonly computeNs: number | undefined;
  readonly preprocessNs: number | undefined;
}

/** Reads a response. Tensors are views into `message`. Throws an Error that says what is wrong. */
export function decodeInferResponse(message: Uint8Array): InferResponse {
  const response = inference.ModelInferResponse.decode(message);
  const raw = response.rawOutputContents;
  if (raw.length > 0 && raw.length !== response.outputs.length) {
    throw new Error(`${response.outputs.length} outputs but ${raw.length} raw contents`);
  }
  const outputs = response.outputs.map((output, index): Tensor => {
    const datatype = output.datatype ?? "";
    if (!isDatatype(datatype))
      throw new Error(`output ${output.name} has the unknown datatype "${datatype}"`);
    const data = raw[index] ?? rawContents(datatype, output.contents ?? {});
    const shape = output.shape ?? [];
    checkLength(output.name ?? "", datatype, shape, data);
    return { name: output.name ?? "", datatype, shape, data };
  });
  const parameters = response.parameters;
  return {
    outputs,
    computeNs: parameters["compute_ns"]?.int64Param ?? undefined,
    preprocessNs: parameters["preprocess_ns"]?.int64Param ?? undefined,
  };
}

function checkLength(name: string, datatype: Datatype, shape: readonly number[], data: Uint8Array): void {
  const size = datatypeBytes[datatype];
  if (size === 0 || elementCount(shape) * size === data.length) return;
  throw new Error(`output ${name} ${datatype} [${shape.join(",")}] has ${data.length} bytes`);
}

/**
 * Gives each request its rows of every output, as views. `rows` are the requests' rows in the order
 * of the call. Throws an Error when an output does not have as many rows as were sent.
 */
export function splitRows(outputs: readonly Tensor[], rows: readonly number[]): Tensor[][] {
  const total = rows.reduce((sum, count) => sum + count, 0);
  const perRequest: Tensor[][] = rows.map(() => []);
  for (const output of outputs) {
    if (output.shape[0] !== total) {
      throw new Error(
        `output ${output.name} has shape [${output.shape.join(",")}] for a call of ${total} rows`,
      );
    }
    const rest = output.shape.slice(1);
    const cut = datatypeBytes[output.datatype] === 0 ? bytesCutter(output, rest) : fixedCutter(output, rest);
    for (const [index, count] of rows.entries()) {
      const shape = [count, ...rest];
      perRequest[index]?.push({ name: output.name, datatype: output.datatype, shape, data: cut(count) });
    }
  }
  return perRequest;
}

/** Cuts the next rows off contents whose elements are all of one size. */
function fixedCutter(output: Tensor, rest: readonly number[]): (rows: number) => Uint8Array {
  const rowBytes = elementCount(rest) * datatypeBytes[output.datatype];
  let offset = 0;
  return (rows) => output.data.subarray(offset, (offset += rows * rowBytes));
}

/** Cuts the next rows off BYTES contents by walking their lengths. */
function bytesCutter(output: Tensor, rest: readonly number[]): (rows: number) => Uint8Array {
  const view = new DataView(output.data.buffer, output.data.byteOffset, output.data.byteLength);
  const rowElements = elementCount(rest);
  let offset = 0;
  return (rows) => {
    const start = offset;
    for (let element = 0; element < rows * rowElements; element++) {
      if (offset + 4 > view.byteLength) throw new Error(`output ${output.name} ends early`);
      offset += 4 + view.getUint32(offset, true);
    }
    if (offset > view.byteLength) throw new Error(`output ${output.name} ends early`);
    return output.data.subarray(start, offset);
  };
}
