/** What v2 tells of the server, its models and their configuration, as the JSON forms; the gRPC forms have the same members. */
import type { Datatype } from "@spillway/protocol/tensors";
import type { CountAndTime, ModelCatalog, ModelStatistics } from "../../contracts/models.ts";
import type { ServedModel } from "../../core/model.ts";
import type { TensorSpec } from "../../core/tensor.ts";

/** Extensions of v2 that are offered, by Triton's names. */
export const serverExtensions = [
  "classification",
  "model_repository",
  "model_configuration",
  "schedule_policy",
  "statistics",
  "binary_tensor_data",
  "parameters",
] as const;

/** The v2 metadata of a tensor. */
export interface TensorMetadata {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

/** The v2 metadata of a model. */
export interface ModelMetadata {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

/** Describes a model; `versions` lists all that can be asked for. A mock says so in its platform. */
export function modelMetadata(catalog: ModelCatalog, model: ServedModel): ModelMetadata {
  const inputs = model.inputs.map(tensorMetadata);
  return {
    name: model.name,
    versions: catalog.versions(model.name),
    platform: model.platform,
    inputs,
    outputs: model.outputs.map(tensorMetadata),
  };
}

function tensorMetadata({ name, datatype, shape }: TensorSpec): TensorMetadata {
  return { name, datatype, shape };
}

/** A tensor in a model configuration. */
export interface ConfigTensor {
  readonly name: string;
  /** Such as `TYPE_FP32`; BYTES is `TYPE_STRING`. */
  readonly data_type: string;
  /** Without the batch dimension where `max_batch_size` is above 0. */
  readonly dims: readonly number[];
}

/** The part of Triton's model configuration that has a meaning here. */
export interface ModelConfig {
  readonly name: string;
  readonly platform: string;
  readonly backend: string;
  readonly max_batch_size: number;
  readonly input: readonly ConfigTensor[];
  readonly output: readonly ConfigTensor[];
  readonly instance_group: readonly {
    readonly name: string;
    readonly count: number;
    readonly kind: "KIND_CPU";
  }[];
  /** Present where requests share calls. */
  readonly dynamic_batching?: object;
  readonly parameters: Readonly<Record<string, { readonly string_value: string }>>;
}

/** A model's configuration in Triton's terms. */
export function modelConfig(catalog: ModelCatalog, model: ServedModel): ModelConfig {
  const status = catalog.list().find((entry) => entry.name === model.name && entry.version === model.version);
  const config: ModelConfig = {
    name: model.name,
    platform: model.platform,
    backend: model.platform,
    max_batch_size: model.batchable ? model.maxBatch : 0,
    input: model.inputs.map((spec) => configTensor(model, spec)),
    output: model.outputs.map((spec) => configTensor(model, spec)),
    instance_group: [{ name: model.name, count: status?.instances.wanted ?? 1, kind: "KIND_CPU" }],
    parameters: model.mock ? { mock: { string_value: "true" } } : {},
  };
  return model.batchable && model.maxBatch > 1 ? { ...config, dynamic_batching: {} } : config;
}

function configTensor(model: ServedModel, { name, datatype, shape }: TensorSpec): ConfigTensor {
  const data_type = datatype === "BYTES" ? "TYPE_STRING" : `TYPE_${datatype}`;
  return { name, data_type, dims: model.batchable ? shape.slice(1) : shape };
}

/** Statistics in Triton's JSON form. */
export function statisticsJson(statistics: readonly ModelStatistics[]): unknown {
  return { model_stats: statistics.map(statisticsEntry) };
}

const nothing: CountAndTime = { count: 0, ns: 0 };

/** Whole nanoseconds, which is all that the protocol's integers hold. */
export function wholeNs({ count, ns }: CountAndTime): CountAndTime {
  return { count, ns: Math.round(ns) };
}

function statisticsEntry(entry: ModelStatistics): unknown {
  return {
    name: entry.name,
    version: entry.version,
    last_inference: Math.round(entry.lastInferenceMs),
    inference_count: entry.inferenceCount,
    execution_count: entry.executionCount,
    inference_stats: {
      success: wholeNs(entry.success),
      fail: wholeNs(entry.fail),
      queue: wholeNs(entry.queue),
      compute_input: wholeNs(entry.computeInput),
      compute_infer: wholeNs(entry.computeInfer),
      compute_output: wholeNs(entry.computeOutput),
      cache_hit: nothing,
      cache_miss: nothing,
    },
    response_stats: {},
    batch_stats: entry.batches.map(({ size, compute }) => ({
      batch_size: size,
      compute_input: nothing,
      compute_infer: wholeNs(compute),
      compute_output: nothing,
    })),
    memory_usage: [],
  };
}
