/** What a server and its models say of themselves: metadata, configuration, statistics. */
import { inference } from "@spillway/protocol";
import type { Datatype } from "@spillway/protocol/tensors";
import type { LoadedModel } from "../model/loaded-model.ts";
import type { Duration } from "../model/model-statistics.ts";
import type { ModelRegistry } from "../model/model-registry.ts";
import { isRefusal } from "../refusal.ts";
import type { TensorSpec } from "../tensor.ts";
import type { Reply } from "./method.ts";

/** Extensions of the protocol that this server has. */
const extensions = ["model_repository", "model_configuration", "statistics"];

/** How the server introduces itself. */
export interface ServerIdentity {
  readonly name: string;
  readonly version: string;
}

/** `ServerMetadata`. */
export function serverMetadata({ name, version }: ServerIdentity): Reply {
  return [inference.ServerMetadataResponse.encode({ name, version, extensions }).finish()];
}

/** `ModelMetadata`: tensors, versions, and in the parameters what a gateway needs to batch and to read answers. */
export function modelMetadata(registry: ModelRegistry, request: inference.ModelMetadataRequest): Reply {
  const model = registry.find(request.name, request.version);
  if (isRefusal(model)) return model;
  const { engine, calibration } = model;
  const versions = registry.versionsOf(model.name).filter((entry) => entry.state.state === "ready");
  const response = inference.ModelMetadataResponse.encode({
    name: model.name,
    versions: versions.map((entry) => entry.version),
    platform: engine.platform,
    inputs: engine.inputs.map(toMetadata),
    outputs: engine.outputs.map(toMetadata),
    parameters: {
      engine: { stringParam: engine.kind },
      batchable: { boolParam: model.batchable },
      max_batch: { int64Param: model.maxBatch },
      task: { stringParam: JSON.stringify(model.task) },
      calibration: { stringParam: JSON.stringify(calibration) },
    },
  });
  return [response.finish()];
}

function toMetadata({
  name,
  datatype,
  shape,
}: TensorSpec): inference.ModelMetadataResponse.TensorMetadata.$Properties {
  return { name, datatype, shape: [...shape] };
}

const { DataType } = inference;

/** Triton's names of the datatypes. */
const dataTypes = {
  BOOL: DataType.TYPE_BOOL,
  UINT8: DataType.TYPE_UINT8,
  UINT16: DataType.TYPE_UINT16,
  UINT32: DataType.TYPE_UINT32,
  UINT64: DataType.TYPE_UINT64,
  INT8: DataType.TYPE_INT8,
  INT16: DataType.TYPE_INT16,
  INT32: DataType.TYPE_INT32,
  INT64: DataType.TYPE_INT64,
  FP16: DataType.TYPE_FP16,
  BF16: DataType.TYPE_BF16,
  FP32: DataType.TYPE_FP32,
  FP64: DataType.TYPE_FP64,
  BYTES: DataType.TYPE_STRING,
} as const satisfies Record<Datatype, number>;

/** `ModelConfig`, in Triton's words. This process never batches, so there is no `dynamic_batching`. */
export function modelConfig(registry: ModelRegistry, request: inference.ModelConfigRequest): Reply {
  const model = registry.find(request.name, request.version);
  if (isRefusal(model)) return model;
  const { engine, batchable, config } = model;
  // With a batch dimension Triton leaves it out of dims.
  const dims = (spec: TensorSpec) => (batchable ? spec.shape.slice(1) : [...spec.shape]);
  const response = inference.ModelConfigResponse.encode({
    config: {
      name: model.name,
      platform: engine.platform,
      backend: engine.kind === "onnx" ? "onnxruntime" : engine.kind,
      maxBatchSize: batchable ? model.maxBatch : 0,
      versionPolicy: versionPolicy(model),
      input: engine.inputs.map((spec) => ({
        name: spec.name,
        dataType: dataTypes[spec.datatype],
        dims: dims(spec),
      })),
      output: engine.outputs.map((spec) => ({
        name: spec.name,
        dataType: dataTypes[spec.datatype],
        dims: dims(spec),
      })),
      instanceGroup: [
        { name: model.name, count: config.instances, kind: inference.ModelInstanceGroup.Kind.KIND_CPU },
      ],
      parameters: { task: { stringValue: JSON.stringify(model.task) } },
    },
  });
  return [response.finish()];
}

function versionPolicy({ config }: LoadedModel): inference.ModelVersionPolicy.$Properties {
  const { policy, count, list } = config.versions;
  if (policy === "all") return { all: {} };
  return policy === "latest" ? { latest: { numVersions: count } } : { specific: { versions: list } };
}

/** `ModelStatistics` since each model was loaded; without a name of all models. */
export function modelStatistics(registry: ModelRegistry, request: inference.ModelStatisticsRequest): Reply {
  const models: LoadedModel[] = [];
  if (request.name !== "") {
    const model = registry.find(request.name, request.version);
    if (isRefusal(model)) return model;
    models.push(model);
  } else for (const { state } of registry.entries()) if (state.state === "ready") models.push(state.model);
  return [inference.ModelStatisticsResponse.encode({ modelStats: models.map(toStatistics) }).finish()];
}

function toStatistics(model: LoadedModel): inference.ModelStatistics.$Properties {
  const { statistics: all } = model;
  const copy = ({ count, ns }: Duration) => ({ count, ns });
  return {
    name: model.name,
    version: model.version,
    lastInference: all.lastInferenceMs,
    inferenceCount: all.inferenceCount,
    executionCount: all.executionCount,
    inferenceStats: {
      success: copy(all.success),
      fail: copy(all.fail),
      queue: copy(all.queue),
      computeInput: copy(all.computeInput),
      computeInfer: copy(all.computeInfer),
    },
    batchStats: [...all.batches].map(([batchSize, computeInfer]) => ({
      batchSize,
      computeInfer: copy(computeInfer),
    })),
  };
}
