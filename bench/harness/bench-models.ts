/** Lays out the model repository that a workload needs. */
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildConvNet, buildMlp } from "../../test/harness/onnx-build.ts";
import { repositoryRoot } from "./paths.ts";
import type { ModelSpec, Workload } from "./workload.ts";

/** A repository folder made for a workload. */
export interface BenchModels {
  readonly directory: string;
  /** Instances by model name. */
  readonly instances: Readonly<Record<string, number>>;
  /** ONNX files by model name, for running a model in process. */
  readonly onnxFiles: Readonly<Record<string, string>>;
}

/** Writes the workload's models anew to a folder named after it below `parent`. The same workload gives the same bytes. */
export async function prepareModels(workload: Workload, parent: string): Promise<BenchModels> {
  const directory = join(parent, workload.id);
  await rm(directory, { recursive: true, force: true });
  const onnxFiles: Record<string, string> = {};
  for (const model of workload.models) {
    const onnxFile = await writeModel(model, join(directory, model.name));
    if (onnxFile !== null) onnxFiles[model.name] = onnxFile;
  }
  const instances = Object.fromEntries(workload.models.map((model) => [model.name, model.instances ?? 1]));
  return { directory, instances, onnxFiles };
}

/** A model that is written here. */
type MadeModel = Exclude<ModelSpec, { readonly kind: "repository" }>;

/** Gives the path of the ONNX file, or null for models that have none. JSON is YAML. */
async function writeModel(model: ModelSpec, folder: string): Promise<string | null> {
  if (model.kind === "repository") {
    await cp(join(repositoryRoot, "models", model.name), folder, { recursive: true });
    return join(folder, "1", "model.onnx");
  }
  await mkdir(join(folder, "1"), { recursive: true });
  const onnx = onnxOf(model);
  const onnxFile = join(folder, "1", "model.onnx");
  if (onnx !== null) await writeFile(onnxFile, onnx);
  await writeFile(join(folder, "model.yaml"), `${JSON.stringify(yamlOf(model), null, 2)}\n`);
  return onnx === null ? null : onnxFile;
}

function onnxOf(model: MadeModel): Uint8Array | null {
  if (model.kind === "mlp") return buildMlp(model);
  return model.kind === "cnn" ? buildConvNet({ ...model, softmax: true }) : null;
}

function yamlOf(model: MadeModel): Record<string, unknown> {
  if (model.kind === "mock") return { engine: "mock", mock: model.mock };
  if (model.kind === "mlp") return { engine: "onnx" };
  const { size, classes } = model;
  return {
    engine: "onnx",
    task: "classify",
    labels: Array.from({ length: classes }, (_, index) => String(index)),
    outputs: { scores: "y" },
    input: { image: { tensor: "x", width: size, height: size, scale: 1 / 255 } },
  };
}
