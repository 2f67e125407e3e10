/** Looks at a model repository on disk: `<model>/model.yaml`, `<model>/<number>/model.onnx`. Changes nothing. */
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { configFileName, onnxFileName } from "./file-names.ts";
import type { FoundFile } from "./fingerprint.ts";
import { describeFile, fingerprintOf, listFiles } from "./fingerprint.ts";
import type { EngineKind, ModelConfig } from "./model-config.ts";
import { isModelName } from "./model-config.ts";
import type { ConfigSource } from "./read-config.ts";
import { readModelConfig } from "./read-config.ts";
import { readSource, readVersionConfig } from "./version-config.ts";
import { compareVersions, isVersionName, selectVersions } from "./versions.ts";

/** Most models of one repository. */
export const maxModels = 1_000;

/** Most version folders of one model. */
export const maxVersions = 100;

/** A version folder. */
export interface ScannedVersion {
  /** Its number, as the folder is named. */
  readonly version: string;
  /** Absolute path. For a text or mock model without any version folder it is `<model>/1` and need not exist. */
  readonly directory: string;
  readonly files: readonly FoundFile[];
  /** Changes when a file of the version, or either model.yaml, does. */
  readonly fingerprint: string;
  /** The model's configuration with the version's own on top; undefined when `error` is set. */
  readonly config: ModelConfig | undefined;
  /** Which engine runs it; undefined when `error` is set. */
  readonly engine: EngineKind | undefined;
  /** Why this version cannot be loaded, in sentences for people; undefined when nothing is known against it. */
  readonly error: string | undefined;
}

/** A model folder. */
export interface ScannedModel {
  readonly name: string;
  readonly directory: string;
  /** Changes when the model's own model.yaml does. */
  readonly configFingerprint: string;
  /** From the model's own model.yaml; undefined when `error` is set. */
  readonly config: ModelConfig | undefined;
  /** Why the whole model cannot be served: a broken model.yaml, no version. Others are unaffected. */
  readonly error: string | undefined;
  /** All version folders, lowest number first. */
  readonly versions: readonly ScannedVersion[];
  /** Names of the versions that the policy serves, lowest number first; empty when `error` is set. */
  readonly selected: readonly string[];
}

/** What a repository holds at one moment. */
export interface RepositorySnapshot {
  readonly directory: string;
  /** By name, in the order of their names. */
  readonly models: ReadonlyMap<string, ScannedModel>;
  /** Folders that are no models, with the reason. */
  readonly ignored: readonly { readonly name: string; readonly reason: string }[];
}

/** How to scan. */
export interface ScanOptions {
  /** Only this model; the others are neither read nor in the snapshot. */
  readonly only?: string;
  /** An earlier snapshot of the same directory: what has not changed since is taken from it, unparsed. */
  readonly previous?: RepositorySnapshot;
}

/**
 * Reads the repository. A model that is broken is in the snapshot with its error. Throws when the
 * directory itself cannot be read or holds more than 1,000 models.
 */
export async function scanRepository(
  directory: string,
  options: ScanOptions = {},
): Promise<RepositorySnapshot> {
  const models = new Map<string, ScannedModel>();
  const ignored: { name: string; reason: string }[] = [];
  for (const name of await folderNames(directory, options.only)) {
    if (!isModelName(name)) {
      ignored.push({
        name,
        reason: "a model's name starts with a letter or digit and has at most 128 of A-Z a-z 0-9 . _ -",
      });
      continue;
    }
    const model = await scanModel(join(directory, name), options.previous?.models.get(name));
    if (typeof model === "string") ignored.push({ name, reason: model });
    else models.set(name, model);
    if (models.size > maxModels) throw new Error(`${directory} holds more than ${maxModels} models`);
  }
  return { directory, models, ignored };
}

/** Names of the folders below the directory, without hidden ones, in order. */
async function folderNames(directory: string, only: string | undefined): Promise<string[]> {
  if (only !== undefined && !isModelName(only)) return [];
  const names = only === undefined ? await readdir(directory) : [only];
  const folders: string[] = [];
  for (const name of names.toSorted()) {
    if (name.startsWith(".")) continue;
    const about = await stat(join(directory, name)).catch(() => undefined);
    if (about?.isDirectory() === true) folders.push(name);
  }
  return folders;
}

/** One model folder, or why it is none. `before` is the same folder in an earlier snapshot. */
async function scanModel(
  directory: string,
  before: ScannedModel | undefined,
): Promise<ScannedModel | string> {
  const name = basename(directory);
  const shared = await describeFile(directory, configFileName);
  const configFingerprint = fingerprintOf(shared);
  const broken = (error: string): ScannedModel => {
    return { name, directory, configFingerprint, config: undefined, error, versions: [], selected: [] };
  };
  const numbers = (await folderNames(directory, undefined)).filter(isVersionName);
  if (shared.length === 0 && numbers.length === 0)
    return "neither a model.yaml nor a folder named by a version number";
  if (numbers.length > maxVersions) return broken(`${name}: more than ${maxVersions} version folders`);
  const read = await readSource(directory, name);
  if ("error" in read) return broken(read.error);
  const same = before?.configFingerprint === configFingerprint ? before.config : undefined;
  const result = same === undefined ? readModelConfig(read.source) : { config: same };
  if ("errors" in result) return broken(result.errors.join("\n"));
  const { config } = result;
  const names = numbers.length === 0 && needsNoFiles(config) ? ["1"] : numbers.toSorted(compareVersions);
  const versions: ScannedVersion[] = [];
  for (const version of names) {
    const known = before?.versions.find((other) => other.version === version);
    versions.push(await scanVersion(join(directory, version), { source: read.source, shared, known }));
  }
  if (shared.length === 0 && versions.every(holdsGgufOnly)) return "its GGUF files are for the llama engine";
  const selected = selectVersions(names, config.versions);
  const error = selected.length > 0 ? undefined : noVersion(name, names, config);
  return { name, directory, configFingerprint, config, error, versions, selected };
}

/** A language model: it is served by an engine that finds its files itself. */
function holdsGgufOnly({ files }: ScannedVersion): boolean {
  const names = files.map(({ path }) => path);
  return !names.includes(onnxFileName) && names.some((name) => /\.gguf$/i.test(name));
}

function needsNoFiles(config: ModelConfig): boolean {
  return config.engine === "text" || config.engine === "mock";
}

function noVersion(name: string, available: readonly string[], config: ModelConfig): string {
  if (available.length === 0)
    return `${name}: no version folder; put the model file at ${name}/1/${onnxFileName}`;
  const wanted = config.versions.list.join(", ");
  return `${name}/${configFileName}: versions.list: none of ${wanted} is there; found ${available.join(", ")}`;
}

/** What the versions of a model have in common. */
interface VersionContext {
  readonly source: ConfigSource | undefined;
  /** The model's own model.yaml as a file. */
  readonly shared: readonly FoundFile[];
  /** The version in an earlier snapshot, used again when nothing changed. */
  readonly known: ScannedVersion | undefined;
}

async function scanVersion(directory: string, context: VersionContext): Promise<ScannedVersion> {
  const version = basename(directory);
  try {
    const files = await listFiles(directory);
    const fingerprint = fingerprintOf([...context.shared, ...files]);
    if (context.known?.fingerprint === fingerprint) return context.known;
    return {
      version,
      directory,
      files,
      fingerprint,
      ...(await readVersionConfig(directory, context.source)),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      version,
      directory,
      files: [],
      fingerprint: "",
      config: undefined,
      engine: undefined,
      error: reason,
    };
  }
}
