/** An inference request of the Open Inference Protocol v2 after reading, whichever door it came by. */
import type { Tensor } from "../../core/tensor.ts";

/** How a requested output is to be written. */
export interface WantedOutput {
  readonly name: string;
  /** Binary data instead of JSON numbers; undefined: as the request says for all. */
  readonly binary: boolean | undefined;
  /** Above 0: the classification extension with that many classes. */
  readonly classes: number;
}

/** The parameters that Spillway understands; others are for backends and are left out. */
export interface InferParameters {
  /** 1 is the highest level; 0: the normal one. */
  readonly priorityLevel: number;
  /** 0: none given. */
  readonly timeoutUs: number;
  /** All outputs that do not say otherwise are wanted as binary data. */
  readonly binaryOutput: boolean;
  /** The caller counts responses and wants the last one marked. */
  readonly markFinal: boolean;
}

/** What every field is when the request says nothing. */
export const defaultInferParameters: InferParameters = {
  priorityLevel: 0,
  timeoutUs: 0,
  binaryOutput: false,
  markFinal: false,
};

/** A whole request. Holds nothing but plain values and bytes, so that a thread can hand it over. */
export interface InferBody {
  readonly id: string | undefined;
  readonly parameters: InferParameters;
  readonly inputs: readonly Tensor[];
  /** Undefined: all outputs. */
  readonly outputs: readonly WantedOutput[] | undefined;
}
