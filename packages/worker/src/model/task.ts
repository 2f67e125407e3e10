/** What a model's tensors mean, with what model.yaml leaves out filled in from the model itself. */
import type { ModelConfig, OutputRole } from "../repository/model-config.ts";
import { imageInputName } from "../preprocess/image.ts";
import type { TensorSpec } from "../tensor.ts";

/** What the inputs and outputs of a model mean; the `task` parameter of its metadata, as JSON. */
export interface TaskInfo {
  /** Null: tensors in, tensors out. */
  readonly task: "classify" | "count" | "detect" | "text" | null;
  /** Name of class i at place i; empty when there are none. */
  readonly labels: readonly string[];
  /** Such as `confidence`. */
  readonly thresholds: Readonly<Record<string, number>>;
  /** Which output tensor carries what. */
  readonly outputs: Readonly<Partial<Record<OutputRole, string>>>;
  /** Which input takes plain numbers, a text, encoded pictures. */
  readonly input: { readonly features?: string; readonly prompt?: string; readonly image?: string };
}

/** The role of the only output of a model with that task. Boxes always come with something else. */
const onlyOutputRole = { classify: "scores", count: "count", detect: undefined, text: "text" } as const;

/** Throws with the key of model.yaml and the names there are when a tensor it names is not the model's. */
export function resolveTask(
  config: ModelConfig,
  model: { readonly inputs: readonly TensorSpec[]; readonly outputs: readonly TensorSpec[] },
): TaskInfo {
  for (const [role, name] of Object.entries(config.outputs))
    requireName(`outputs.${role}`, name, model.outputs);
  return {
    task: config.task ?? null,
    labels: config.labels,
    thresholds: config.thresholds,
    outputs: resolveOutputs(config, model.outputs),
    input: resolveInput(config, model.inputs),
  };
}

function requireName(key: string, name: string, specs: readonly TensorSpec[]): TensorSpec {
  const found = specs.find((spec) => spec.name === name);
  if (found !== undefined) return found;
  const kind = key.startsWith("outputs") ? "output" : "input";
  throw new Error(
    `${key}: the model has no ${kind} "${name}"; it has ${specs.map((spec) => spec.name).join(", ")}`,
  );
}

function resolveOutputs(config: ModelConfig, outputs: readonly TensorSpec[]): TaskInfo["outputs"] {
  const [only] = outputs;
  if (config.task === undefined || Object.keys(config.outputs).length > 0) return config.outputs;
  const role = onlyOutputRole[config.task];
  if (role === undefined || only === undefined || outputs.length > 1) return {};
  // A text model with numbers for an output answers scores, as the built-in sentiment does.
  return role === "text" && only.datatype !== "BYTES" ? { scores: only.name } : { [role]: only.name };
}

function resolveInput(config: ModelConfig, inputs: readonly TensorSpec[]): TaskInfo["input"] {
  const { features, prompt, image } = config.input;
  if (features !== undefined && requireName("input.features", features, inputs).datatype === "BYTES")
    throw new Error(`input.features: "${features}" is BYTES; expected a tensor of numbers`);
  if (prompt !== undefined && requireName("input.prompt", prompt, inputs).datatype !== "BYTES")
    throw new Error(`input.prompt: "${prompt}" takes numbers; expected a BYTES tensor`);
  const [only] = inputs;
  const single = inputs.length === 1 ? only : undefined;
  const resolved = {
    features: features ?? (single !== undefined && single.datatype !== "BYTES" ? single.name : undefined),
    prompt: prompt ?? (single?.datatype === "BYTES" ? single.name : undefined),
  };
  return {
    ...(resolved.features === undefined ? {} : { features: resolved.features }),
    ...(resolved.prompt === undefined ? {} : { prompt: resolved.prompt }),
    ...(image === undefined ? {} : { image: imageInputName }),
  };
}
