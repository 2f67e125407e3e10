/** Request bodies of KServe v2 (JSON, binary tensor extension, gRPC) and of ModelInference, generated from a seed. */
import { buildExtProcTurns, type ExtProcBodySpec } from "./ext-proc-messages.ts";
import { fieldBytes, fieldString, fieldVarints } from "./protobuf-writer.ts";
import { seededRandom } from "./random.ts";

/** One FP32 tensor named `input` of `shape`, filled from `seed`; `variants` bodies differ only in the values. */
export interface TensorBodySpec {
  readonly kind: "v2-json" | "v2-binary" | "grpc-infer";
  readonly input: string;
  readonly shape: readonly number[];
  readonly seed: number;
  /** Default 1. Variant i is filled from `seed + i`. */
  readonly variants?: number;
  /** `v2-binary`: ask for the outputs in binary too (default true). */
  readonly binaryOutput?: boolean;
  /** `grpc-infer`: the model called. The HTTP kinds name it in the path. */
  readonly model?: string;
}

/** A `ModelInference/Predict` message with `features` seeded numbers. */
export interface PredictBodySpec {
  readonly kind: "grpc-predict";
  readonly features: number;
  readonly seed: number;
  readonly variants?: number;
  readonly model?: string;
}

/** A body given literally. */
export interface LiteralBodySpec {
  readonly kind: "text" | "base64";
  readonly value: string;
  /** Default `application/json` for text, `application/octet-stream` for base64. */
  readonly contentType?: string;
}

/** How a body comes about. */
export type BodySpec = TensorBodySpec | PredictBodySpec | LiteralBodySpec | ExtProcBodySpec;

/** A finished body and the headers that describe it, Content-Length excepted. */
export interface Body {
  readonly bytes: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** The bodies of a spec, one a variant. gRPC bodies are the message without its five-byte prefix; streams have all turns. */
export function buildBodies(spec: BodySpec): Body[] {
  if (!("seed" in spec)) return [literalBody(spec)];
  if (spec.kind === "ext-proc") {
    return buildExtProcTurns(spec).map((turns) => ({
      bytes: Buffer.concat(turns.map(({ bytes }) => bytes)),
      headers: {},
    }));
  }
  return Array.from({ length: spec.variants ?? 1 }, (_, index) =>
    spec.kind === "grpc-predict" ? predictBody(spec, spec.seed + index) : tensorBody(spec, spec.seed + index),
  );
}

/** The values of a seeded tensor: uniform in [-1, 1), rounded to single precision. */
export function tensorValues(shape: readonly number[], seed: number): Float32Array {
  const random = seededRandom(seed);
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  return Float32Array.from({ length: size }, () => random() * 2 - 1);
}

/** A v2 request of one FP32 tensor as JSON: flat row-major data, each number as the shortest text of its double. */
export function v2JsonBody(input: string, shape: readonly number[], values: Float32Array): Body {
  const tensor = { name: input, shape, datatype: "FP32", data: Array.from(values) };
  return {
    bytes: Buffer.from(JSON.stringify({ inputs: [tensor] })),
    headers: { "Content-Type": "application/json" },
  };
}

/**
 * A v2 request of one FP32 tensor with the binary tensor data extension: the JSON header, then the values in
 * little-endian order. `binaryOutput: "no"` leaves the outputs as JSON.
 */
export function v2BinaryBody(
  input: string,
  shape: readonly number[],
  values: Float32Array,
  options: { readonly binaryOutput: "yes" | "no" } = { binaryOutput: "yes" },
): Body {
  const tensor = {
    name: input,
    shape,
    datatype: "FP32",
    parameters: { binary_data_size: values.byteLength },
  };
  const header = Buffer.from(
    JSON.stringify({
      inputs: [tensor],
      ...(options.binaryOutput === "yes" ? { parameters: { binary_data_output: true } } : {}),
    }),
  );
  return {
    bytes: Buffer.concat([header, littleEndian(values)]),
    headers: {
      "Content-Type": "application/octet-stream",
      "Inference-Header-Content-Length": String(header.length),
    },
  };
}

/** A `inference.GRPCInferenceService/ModelInfer` request with one FP32 tensor in `raw_input_contents`. */
export function grpcInferMessage(
  model: string,
  input: string,
  shape: readonly number[],
  values: Float32Array,
): Buffer {
  const tensor = Buffer.concat([fieldString(1, input), fieldString(2, "FP32"), fieldVarints(3, shape)]);
  return Buffer.concat([fieldString(1, model), fieldBytes(5, tensor), fieldBytes(7, littleEndian(values))]);
}

/** A `inference.ModelInference/Predict` request: features, and the model when it is not the default one. */
export function grpcPredictMessage(features: Float32Array, model?: string): Buffer {
  return Buffer.concat([
    fieldBytes(1, littleEndian(features)),
    ...(model === undefined ? [] : [fieldString(2, model)]),
  ]);
}

function tensorBody(spec: TensorBodySpec, seed: number): Body {
  const values = tensorValues(spec.shape, seed);
  if (spec.kind === "v2-json") return v2JsonBody(spec.input, spec.shape, values);
  if (spec.kind === "v2-binary") {
    return v2BinaryBody(spec.input, spec.shape, values, {
      binaryOutput: spec.binaryOutput === false ? "no" : "yes",
    });
  }
  return { bytes: grpcInferMessage(spec.model ?? "", spec.input, spec.shape, values), headers: {} };
}

function predictBody(spec: PredictBodySpec, seed: number): Body {
  return { bytes: grpcPredictMessage(tensorValues([spec.features], seed), spec.model), headers: {} };
}

function literalBody(spec: LiteralBodySpec): Body {
  const fallback = spec.kind === "text" ? "application/json" : "application/octet-stream";
  return {
    bytes: Buffer.from(spec.value, spec.kind === "text" ? "utf8" : "base64"),
    headers: { "Content-Type": spec.contentType ?? fallback },
  };
}

function littleEndian(values: Float32Array): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4);
  values.forEach((value, index) => bytes.writeFloatLE(value, index * 4));
  return bytes;
}
