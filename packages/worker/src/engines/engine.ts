/** What every engine offers: tensors in, tensors out. */
import type { EngineKind } from "../repository/model-config.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";

/**
 * A loaded model. Callers check names, datatypes, shapes and byte lengths against `inputs` first;
 * one inference runs at a time, or `depth` are asked for at once.
 */
export interface Engine {
  readonly kind: EngineKind;
  /** As model metadata shows it, such as `onnxruntime_onnx`. */
  readonly platform: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** True when the first dimension of every input and output may have any size. */
  readonly dynamicRows: boolean;
  /**
   * Inferences to ask for at once. They run and are answered in order: with 2, the next is there when one ends. What
   * has been asked for runs, whoever leaves meanwhile. Default 1.
   */
  readonly depth?: number;
  /**
   * Runs the model. Output bytes may be views of the engine's or the input's memory that nobody changes
   * afterwards. Rejects with an Error whose message tells what the model refused.
   * @param inputs one a spec, in any order
   * @param outputNames in the order wanted; all outputs when absent
   */
  infer(inputs: readonly Tensor[], outputNames?: readonly string[]): Promise<Tensor[]>;
  /** Frees the model. Idempotent; `infer` rejects afterwards. */
  close(): Promise<void>;
}

/** True when every tensor has a first dimension that may have any size. */
export function hasDynamicRows(specs: readonly TensorSpec[]): boolean {
  return specs.length > 0 && specs.every((spec) => spec.shape[0] === -1);
}

/** The tensor of that name. Throws when it is missing: callers have checked. */
export function requireTensor(tensors: readonly Tensor[], name: string): Tensor {
  const found = tensors.find((tensor) => tensor.name === name);
  if (found === undefined) throw new Error(`input "${name}" is missing`);
  return found;
}
