/** Reads `model.yaml` texts: YAML, the schema, and a version's own file on top of the model's. */
import type { Document, YAMLMap } from "yaml";
import { LineCounter, isMap, isNode, isScalar, parseDocument } from "yaml";
import { describeIssues } from "./config-issues.ts";
import type { ModelConfig } from "./model-config.ts";
import { modelConfigSchema } from "./model-config.ts";

/** One `model.yaml`. */
export interface ConfigSource {
  /** As messages name it, such as `models/iris/model.yaml`. */
  readonly file: string;
  readonly text: string;
}

/** A configuration, or what is wrong with its files: one sentence a problem. */
export type ConfigResult = { readonly config: ModelConfig } | { readonly errors: readonly string[] };

/** Largest `model.yaml` that is read, in bytes. */
export const maxConfigBytes = 1_048_576;

/** Keys that make no sense for a single version. */
const modelOnlyKeys = ["versions", "group"];

/** Problems of one file beyond this many are counted, not listed. */
const maxErrors = 20;

interface Parsed {
  readonly value: Record<string, unknown>;
  readonly errors: readonly string[];
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The offset of the key at a path, or of the nearest thing above it that is in the text. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  let offset = 0;
  let node: unknown = document.contents;
  for (const key of path) {
    if (!isMap(node)) break;
    const pair: YAMLMap["items"][number] | undefined = node.items.find(
      (item) => isScalar(item.key) && String(item.key.value) === String(key),
    );
    if (pair === undefined) break;
    if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset;
    node = pair.value;
  }
  return offset;
}

/** `batching.maxBatch`, `mean[0]`. */
function showPath(path: readonly PropertyKey[]): string {
  let text = "";
  for (const key of path)
    text += typeof key === "number" ? `[${key}]` : `${text === "" ? "" : "."}${String(key)}`;
  return text;
}

function syntaxErrors(file: string, document: Document): string[] {
  return document.errors.map((error) => {
    const [position] = error.linePos ?? [];
    const where = position === undefined ? file : `${file}:${position.line}:${position.col}`;
    return `${where}: not valid YAML: ${(error.message.split("\n")[0] ?? "").replace(/ at line \d+.*$/, "")}`;
  });
}

/** Parses one file by itself, so that each problem is told with the file and line it comes from. */
function parseSource(source: ConfigSource, level: "model" | "version"): Parsed {
  const { file, text } = source;
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  if (document.errors.length > 0) return { value: {}, errors: syntaxErrors(file, document) };
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (error) {
    return {
      value: {},
      errors: [`${file}: not valid YAML: ${error instanceof Error ? error.message : String(error)}`],
    };
  }
  if (!isMapping(value))
    return { value: {}, errors: [`${file}: expected a mapping of keys to values at the top`] };
  const result = modelConfigSchema.safeParse(value);
  const issues = result.success ? [] : describeIssues(modelConfigSchema, result.error, value);
  for (const key of level === "version" ? modelOnlyKeys : [])
    if (Object.hasOwn(value, key))
      issues.push({ path: [key], message: "belongs in the model's own model.yaml" });
  const found = issues.map(({ path, message }) => ({
    line: lines.linePos(offsetOf(document, path)).line,
    text: path.length === 0 ? message : `${showPath(path)}: ${message}`,
  }));
  found.sort((a, b) => a.line - b.line);
  return { value, errors: found.map(({ line, text: problem }) => `${file}:${line}: ${problem}`) };
}

/** Mappings are merged key by key; anything else in `over` replaces what is in `base`. */
function merge(base: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isMapping(below) && isMapping(value) ? merge(below, value) : value;
  }
  return merged;
}

function bounded(errors: readonly string[]): readonly string[] {
  if (errors.length <= maxErrors) return errors;
  return [...errors.slice(0, maxErrors), `and ${errors.length - maxErrors} more problems`];
}

/**
 * The configuration that a model's file and a version's file give together, either of which may be
 * absent. Never throws: every problem is a sentence `file:line: key.path: what was expected`.
 */
export function readModelConfig(model: ConfigSource | undefined, version?: ConfigSource): ConfigResult {
  const base = model === undefined ? undefined : parseSource(model, "model");
  const over = version === undefined ? undefined : parseSource(version, "version");
  const errors = [...(base?.errors ?? []), ...(over?.errors ?? [])];
  if (errors.length > 0) return { errors: bounded(errors) };
  const merged = merge(base?.value ?? {}, over?.value ?? {});
  const result = modelConfigSchema.safeParse(merged);
  if (result.success) return { config: result.data };
  const file = version?.file ?? model?.file ?? "model.yaml";
  const issues = describeIssues(modelConfigSchema, result.error, merged);
  return { errors: bounded(issues.map(({ path, message }) => `${file}: ${showPath(path)}: ${message}`)) };
}
