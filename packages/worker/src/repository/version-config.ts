/** The configuration of one version as it lies on disk: the model's file, the version's own, the engine they mean. */
import { open, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { configFileName, onnxFileName } from "./file-names.ts";
import type { EngineKind, ModelConfig } from "./model-config.ts";
import type { ConfigSource } from "./read-config.ts";
import { maxConfigBytes, readModelConfig } from "./read-config.ts";

/** A version's configuration and engine, or why it has none. */
export type VersionConfig =
  | { readonly config: ModelConfig; readonly engine: EngineKind; readonly error: undefined }
  | { readonly config: undefined; readonly engine: undefined; readonly error: string };

/** A file's text for a message's eyes, nothing when it is not there, or why it cannot be read. */
export type SourceResult = { readonly source: ConfigSource | undefined } | { readonly error: string };

/** Reads `model.yaml` of a folder. `label` is the folder's name in messages. Files beyond 1 MiB are refused. */
export async function readSource(folder: string, label: string): Promise<SourceResult> {
  const file = `${label}/${configFileName}`;
  try {
    await using handle = await open(join(folder, configFileName));
    const { size } = await handle.stat();
    if (size > maxConfigBytes)
      return { error: `${file}: expected at most ${maxConfigBytes} bytes, got ${size}` };
    return { source: { file, text: await handle.readFile("utf8") } };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return { source: undefined };
    return { error: `${file}: cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** The configuration of a version folder, given what its model's file says. Never throws. */
export async function readVersionConfig(
  directory: string,
  model: ConfigSource | undefined,
): Promise<VersionConfig> {
  const label = `${basename(dirname(directory))}/${basename(directory)}`;
  const own = await readSource(directory, label);
  if ("error" in own) return failed(own.error);
  const result = readModelConfig(model, own.source);
  if ("errors" in result) return failed(result.errors.join("\n"));
  const { config } = result;
  const hasOnnx = await stat(join(directory, onnxFileName)).then(
    (about) => about.isFile(),
    () => false,
  );
  if (config.engine === "text" || config.engine === "mock")
    return { config, engine: config.engine, error: undefined };
  if (hasOnnx) return { config, engine: "onnx", error: undefined };
  const hint = config.engine === "onnx" ? "" : "; a model without files sets engine: text or engine: mock";
  return failed(`${label}: expected the file ${label}/${onnxFileName}${hint}`);
}

/** As `readVersionConfig`, reading the model's file as well: all a worker has is the version's directory. */
export async function loadVersionConfig(directory: string): Promise<VersionConfig> {
  const folder = dirname(directory);
  const model = await readSource(folder, basename(folder));
  return "error" in model ? failed(model.error) : readVersionConfig(directory, model.source);
}

function failed(error: string): VersionConfig {
  return { config: undefined, engine: undefined, error };
}
