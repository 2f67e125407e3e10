/** ONNX models through onnxruntime-node on the processor. A run blocks its thread until it is over. */
import { existsSync } from "node:fs";
import "./onnx-telemetry.ts";
import { InferenceSession, env } from "onnxruntime-node";
import type { OnnxConfig } from "../repository/model-config.ts";
import type { TensorSpec } from "../tensor.ts";
import type { Engine } from "./engine.ts";
import { hasDynamicRows } from "./engine.ts";
import { fromOrt, toOrt, toSpec } from "./onnx-tensors.ts";

/** The session options that `model.yaml` means. */
function sessionOptions(config: OnnxConfig): InferenceSession.SessionOptions {
  return {
    executionProviders: ["cpu"],
    intraOpNumThreads: config.intraOpThreads,
    interOpNumThreads: config.interOpThreads,
    executionMode: config.executionMode,
    graphOptimizationLevel: config.graphOptimization,
    // 3: errors only. Warnings of the graph optimizer go to standard error as plain text otherwise.
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: config.allowSpinning ? "1" : "0" } } },
  };
}

function tensorSpecs(metadata: readonly InferenceSession.ValueMetadata[]): TensorSpec[] {
  return metadata.map(toSpec).filter((spec) => spec !== undefined);
}

/** Loads an ONNX file. Rejects with ONNX Runtime's reason, after the file's name, when it cannot. */
export async function loadOnnxEngine(file: string, config: OnnxConfig): Promise<Engine> {
  if (!existsSync(file)) throw new Error(`${file} is not there`);
  env.logLevel = "error";
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(file, sessionOptions(config));
  } catch (error) {
    throw new Error(`the ONNX file cannot be loaded: ${messageOf(error)}`, { cause: error });
  }
  const inputs = tensorSpecs(session.inputMetadata);
  const outputs = tensorSpecs(session.outputMetadata);
  if (inputs.length < session.inputNames.length) {
    await session.release();
    throw new Error("the model has an input that is not a tensor");
  }
  return new OnnxEngine(session, inputs, outputs);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

class OnnxEngine implements Engine {
  readonly kind = "onnx";
  readonly platform = "onnxruntime_onnx";
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly dynamicRows: boolean;
  readonly #session: InferenceSession;
  readonly #allOutputs: readonly string[];
  #closed = false;

  constructor(session: InferenceSession, inputs: readonly TensorSpec[], outputs: readonly TensorSpec[]) {
    this.#session = session;
    this.inputs = inputs;
    this.outputs = outputs;
    this.#allOutputs = outputs.map((spec) => spec.name);
    this.dynamicRows = hasDynamicRows([...inputs, ...outputs]);
  }

  async infer(...[inputs, outputNames]: Parameters<Engine["infer"]>): ReturnType<Engine["infer"]> {
    const feeds: InferenceSession.OnnxValueMapType = {};
    for (const input of inputs)
      (feeds as Record<string, ReturnType<typeof toOrt>>)[input.name] = toOrt(input);
    const names = outputNames ?? this.#allOutputs;
    const results = await this.#session.run(feeds, [...names]);
    return names.map((name) => {
      const value = results[name];
      if (value === undefined) throw new Error(`the model gave no output "${name}"`);
      return fromOrt(name, value);
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#session.release();
  }
}
