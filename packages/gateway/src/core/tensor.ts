/** Tensors of requests and answers, and what models declare of them. Their layout is the protocol's. */
import type { Datatype } from "@spillway/protocol/tensors";

/** What a model declares of one input or output; -1 is a dimension of any size. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** True for an input that a request may leave out. */
  readonly optional?: true;
}

/** A tensor with its raw contents. The bytes may be a view into a larger buffer and are not to be changed. */
export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}
