/** Tensors of the gRPC form: typed `contents` on one side, raw little-endian bytes on the other. */
import { contentsField, inference, rawContents } from "@spillway/protocol";
import { decodeBytesElements, elementCount } from "@spillway/protocol/tensors";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { quoted, shownShape } from "../tensors/describe.ts";
import { numbersOf, wideNumbersOf } from "../tensors/numbers.ts";
import { packFlat, type PackTarget } from "../tensors/pack-values.ts";
import { contentsProblem } from "../tensors/write-values.ts";

/** Raw contents of typed ones. */
export function packContents(
  target: PackTarget,
  contents: inference.InferTensorContents.$Properties,
): Uint8Array | Failure {
  const { name, datatype, shape } = target;
  const field = contentsField[datatype];
  if (field === undefined)
    return failure(
      "invalid_tensor",
      `Input ${quoted(name)}: ${datatype} has no typed contents; send raw_input_contents`,
    );
  const values = contents[field] ?? [];
  const count = elementCount(shape);
  if (values.length !== count)
    return failure(
      "invalid_tensor",
      `Input ${quoted(name)}: shape ${shownShape(shape)} needs ${count} values in ${fieldName(field)}, got ${values.length}`,
    );
  if (datatype === "FP32" || datatype === "FP64" || datatype === "BYTES")
    return rawContents(datatype, contents);
  return packFlat(target, values);
}

/** `fp32Contents` → `fp32_contents`. */
function fieldName(field: string): string {
  return field.replace("Contents", "_contents");
}

/** Whether a tensor can be written as typed contents: the 16-bit floats cannot. */
export function hasTypedForm({ datatype }: Tensor): boolean {
  return contentsField[datatype] !== undefined;
}

/** The `outputs` of a `ModelInferResponse` with typed contents, encoded as the fields of a message. */
export function encodeTypedOutputs(tensors: readonly Tensor[]): Uint8Array | Failure {
  const outputs: inference.ModelInferResponse.InferOutputTensor.$Properties[] = [];
  for (const tensor of tensors) {
    const contents = contentsProblem(tensor) ?? unpackContents(tensor);
    if (isFailure(contents)) return contents;
    outputs.push({ name: tensor.name, datatype: tensor.datatype, shape: [...tensor.shape], contents });
  }
  return inference.ModelInferResponse.encode({ outputs }).finish();
}

/** Typed contents of raw ones. Expects a datatype that has them and whole elements. */
function unpackContents(tensor: Tensor): inference.InferTensorContents.$Properties | Failure {
  const { name, datatype, data } = tensor;
  switch (datatype) {
    case "FP16":
    case "BF16":
      return failure("internal", `Output ${quoted(name)}: ${datatype} has no typed contents`);
    case "BYTES": {
      const bytesContents = decodeBytesElements(data);
      if (bytesContents !== undefined) return { bytesContents };
      return failure("bad_upstream_answer", `Output ${quoted(name)} came with BYTES elements cut short`);
    }
    case "INT64":
      return { int64Contents: Array.from(wideNumbersOf(datatype, data)) };
    case "UINT64":
      return { uint64Contents: Array.from(wideNumbersOf(datatype, data)) };
    case "BOOL":
      return { boolContents: Array.from(data, (value) => value !== 0) };
    default:
      return { [contentsField[datatype]]: Array.from(numbersOf(datatype, data)) };
  }
}
