/** Features, a prompt or a picture as the one tensor that a model takes for it, one row. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { ServedModel } from "../../core/model.ts";
import type { Tensor, TensorSpec } from "../../core/tensor.ts";
import { encodeTexts } from "./encode-texts.ts";
import { quoted, shownShape, shownSpecs } from "./describe.ts";
import { packFlat } from "./pack-values.ts";
import { pictureTensor } from "./picture.ts";

/** What a caller gives that does not speak of tensors. */
export type PlainInput =
  | { readonly kind: "features"; readonly values: ArrayLike<number> }
  | { readonly kind: "prompt"; readonly text: string }
  | { readonly kind: "image"; readonly bytes: Uint8Array };

/** The tensor that carries the input, or a failure that says what the model takes. */
export function plainTensor(model: ServedModel, input: PlainInput): Tensor | Failure {
  const name = model.mapping[input.kind];
  if (name === undefined) return notTaken(model, input.kind);
  if (input.kind === "image") return pictureTensor(name, [input.bytes]);
  const spec = model.inputs.find((candidate) => candidate.name === name);
  if (spec === undefined) return notTaken(model, input.kind);
  if (input.kind === "prompt")
    return { name, datatype: "BYTES", shape: spec.shape.map(() => 1), data: encodeTexts([input.text]) };
  const shape = featureShape(model, spec, input.values.length);
  if (isFailure(shape)) return shape;
  const data = packFlat({ name, datatype: spec.datatype, shape }, input.values);
  return isFailure(data) ? data : { name, datatype: spec.datatype, shape, data };
}

const kindWords = { features: "features", prompt: "a prompt", image: "pictures" } as const;

function notTaken(model: ServedModel, kind: PlainInput["kind"]): Failure {
  const kinds = (["features", "prompt", "image"] as const).filter(
    (other) => model.mapping[other] !== undefined,
  );
  const taken =
    kinds.length === 0
      ? `tensors only: ${shownSpecs(model.inputs)}`
      : kinds.map((other) => kindWords[other]).join(" or ");
  return failure(
    "bad_request",
    `Model ${quoted(model.name)} does not take ${kindWords[kind]}; it takes ${taken}`,
  );
}

/** The model's shape with one row; what is left of the count fills its last free dimension. */
function featureShape(model: ServedModel, spec: TensorSpec, count: number): number[] | Failure {
  const shape = spec.shape.map((dimension, index) =>
    index === 0 && dimension === -1 && model.batchable ? 1 : dimension,
  );
  const free = shape.lastIndexOf(-1);
  let fixed = 1;
  for (let i = 0; i < shape.length; i++) {
    if (shape[i] === -1 && i !== free) shape[i] = 1;
    if (i !== free) fixed *= shape[i] ?? 1;
  }
  if (free >= 0 && fixed > 0 && count > 0 && count % fixed === 0) shape[free] = count / fixed;
  else if (free >= 0 || count !== fixed) return wrongCount(model, { fixed, free: free >= 0, count, spec });
  return shape;
}

interface WrongCount {
  readonly fixed: number;
  readonly free: boolean;
  readonly count: number;
  readonly spec: TensorSpec;
}

function wrongCount(model: ServedModel, { fixed, free, count, spec }: WrongCount): Failure {
  const expected = free ? `a multiple of ${fixed}` : String(fixed);
  return failure(
    "invalid_tensor",
    `Model ${quoted(model.name)} expects ${expected} features (${spec.name} ${spec.datatype} ${shownShape(spec.shape)}), got ${count}`,
  );
}
