/** Configuration and statistics of models as protobuf messages. */
import { inference } from "@spillway/protocol";
import type { ModelCatalog, ModelStatistics } from "../../contracts/models.ts";
import type { ServedModel } from "../../core/model.ts";
import { modelConfig, wholeNs, type ConfigTensor } from "./metadata.ts";

/** An encoded `ModelConfigResponse`. */
export function configMessage(catalog: ModelCatalog, model: ServedModel): Uint8Array {
  const config = modelConfig(catalog, model);
  const parameters = Object.entries(config.parameters).map(
    ([name, { string_value }]) => [name, { stringValue: string_value }] as const,
  );
  return inference.ModelConfigResponse.encode({
    config: {
      name: config.name,
      platform: config.platform,
      backend: config.backend,
      maxBatchSize: config.max_batch_size,
      input: config.input.map(tensorFields),
      output: config.output.map(tensorFields),
      instanceGroup: config.instance_group.map(({ name, count }) => ({ name, count, kind: kindCpu })),
      dynamicBatching: config.dynamic_batching === undefined ? null : {},
      parameters: Object.fromEntries(parameters),
    },
  }).finish();
}

const kindCpu: inference.ModelInstanceGroup.Kind = 2;

function tensorFields({ name, data_type, dims }: ConfigTensor): inference.ModelInput.$Properties {
  return { name, dataType: dataTypes[data_type] ?? 0, dims: [...dims] };
}

/** Numbers of the enum `DataType`. */
const dataTypes: Readonly<Record<string, inference.DataType>> = {
  TYPE_BOOL: 1,
  TYPE_UINT8: 2,
  TYPE_UINT16: 3,
  TYPE_UINT32: 4,
  TYPE_UINT64: 5,
  TYPE_INT8: 6,
  TYPE_INT16: 7,
  TYPE_INT32: 8,
  TYPE_INT64: 9,
  TYPE_FP16: 10,
  TYPE_FP32: 11,
  TYPE_FP64: 12,
  TYPE_STRING: 13,
  TYPE_BF16: 14,
};

/** An encoded `ModelStatisticsResponse`. */
export function statisticsMessage(statistics: readonly ModelStatistics[]): Uint8Array {
  return inference.ModelStatisticsResponse.encode({ modelStats: statistics.map(statisticsFields) }).finish();
}

function statisticsFields(entry: ModelStatistics): inference.ModelStatistics.$Properties {
  return {
    name: entry.name,
    version: entry.version,
    lastInference: Math.round(entry.lastInferenceMs),
    inferenceCount: entry.inferenceCount,
    executionCount: entry.executionCount,
    inferenceStats: {
      success: wholeNs(entry.success),
      fail: wholeNs(entry.fail),
      queue: wholeNs(entry.queue),
      computeInput: wholeNs(entry.computeInput),
      computeInfer: wholeNs(entry.computeInfer),
      computeOutput: wholeNs(entry.computeOutput),
    },
    batchStats: entry.batches.map(({ size, compute }) => ({
      batchSize: size,
      computeInfer: wholeNs(compute),
    })),
  };
}
