/** Reads an `EndpointPickerConfig`: what the engines are told, or every mistake in it at once. */
import { dirname, resolve } from "node:path";
import type { DataSpec } from "../../contracts/plugins/data.ts";
import type { FlowSpec } from "../../contracts/plugins/flow.ts";
import type { PluginSpec } from "../../contracts/plugins/plugin.ts";
import type { SchedulingSpec } from "../../contracts/plugins/scheduling.ts";
import type { PluginRegistry } from "../../plugins/plugin-registry.ts";
import { whyUnreadable } from "../../core/why-unreadable.ts";
import { failed, readDocument, readText } from "../read-document.ts";
import type { Problem } from "../source.ts";
import { compileData, type MetricsDefaults } from "./compile-data.ts";
import { compileFlow } from "./compile-flow.ts";
import { compileParsers } from "./compile-parsers.ts";
import { compileScheduling } from "./compile-scheduling.ts";
import { readFeatureGates } from "./feature-gates.ts";
import { modernise, oldVersion } from "./legacy.ts";
import { PluginList } from "./plugin-list.ts";
import { endpointPickerSchema, type EndpointPickerFile } from "./schema.ts";

/** What a file says, as the engines take it. */
export interface EndpointPicker {
  readonly scheduling: SchedulingSpec;
  /** Its `mode` is `shed` where the feature `flowControl` is off. */
  readonly flow: FlowSpec;
  readonly data: DataSpec;
  /** Rules of the routing layer, in the order in which they are declared. */
  readonly rules: readonly PluginSpec[];
  /** Requests that are understood, by the parsers' types; undefined: all that there are. */
  readonly parsers: readonly string[] | undefined;
}

/** A picker's configuration with what is worth knowing about it, or what is wrong: one sentence each. */
export type EndpointPickerResult =
  | { readonly picker: EndpointPicker; readonly warnings: readonly string[] }
  | { readonly errors: readonly string[] };

/** What it is read with. */
export interface EndpointPickerOptions {
  /** How messages call the file. */
  readonly file: string;
  /** Folder that relative paths start from. */
  readonly directory: string;
  readonly registry: PluginRegistry;
  /** What holds for reading metrics where the file says nothing. */
  readonly metrics?: MetricsDefaults;
}

/** Reads a file. Never throws: one that cannot be read is an error like one that is wrong. */
export async function loadEndpointPicker(
  file: string,
  options: Omit<EndpointPickerOptions, "file" | "directory"> & { readonly workingDirectory: string },
): Promise<EndpointPickerResult> {
  const path = resolve(options.workingDirectory, file);
  try {
    return parseEndpointPicker(await readText(path), { ...options, file, directory: dirname(path) });
  } catch (error) {
    return { errors: [`${file}: ${whyUnreadable(error)}`] };
  }
}

/** Reads a text, YAML or JSON. */
export function parseEndpointPicker(text: string, options: EndpointPickerOptions): EndpointPickerResult {
  const read = readDocument(text, {
    schema: endpointPickerSchema,
    file: options.file,
    environment: undefined,
    findContradictions: () => [],
  });
  if ("errors" in read) {
    if (!looksLikeOther(text)) return read;
    const which = `expected an EndpointPickerConfig, with apiVersion and kind, got what looks like a spillway.yaml`;
    return {
      errors: [`${options.file}: ${which}, which "spillway check --config" and "serve --config" read`],
    };
  }
  const list = new PluginList(options.registry);
  const picker = compile(read.value, list, options);
  if (list.problems.length > 0 || picker === undefined) return failed(read.describeAll(list.problems));
  return { picker, warnings: read.describeAll(list.warnings) };
}

/** True for what has keys of `spillway.yaml` and names no kind. */
function looksLikeOther(text: string): boolean {
  return !/^kind:/m.test(text) && /^(pools|listen|extProc|routes|models|auth|edge):/m.test(text);
}

function compile(
  file: EndpointPickerFile,
  list: PluginList,
  options: EndpointPickerOptions,
): EndpointPicker | undefined {
  list.warnings.push(...oldVersion(file.apiVersion));
  const gates = readFeatureGates(file.featureGates ?? [], list);
  const { plugins, warnings } = modernise(writtenPlugins(file));
  list.warnings.push(...warnings);
  for (const plugin of plugins) list.add(plugin);
  const scheduling = compileScheduling(file, list);
  const flow = compileFlow(file, list, gates.flowControl ? "wait" : "shed");
  if (!gates.flowControl) list.warnings.push(...noteFlowOff(file));
  const data = compileData(file, list, options);
  const parsers = compileParsers(file, list);
  const rules = list.ofKind("rule").map(({ spec }) => spec);
  if (scheduling === undefined || flow === undefined || data === undefined) return undefined;
  return { scheduling, flow, data, rules, parsers };
}

function writtenPlugins({ plugins }: EndpointPickerFile) {
  return (plugins ?? []).map(({ name, type, parameters }, index) => ({
    name: name ?? type,
    type,
    parameters: parameters ?? {},
    path: ["plugins", index],
  }));
}

/** What a file says of flow control and does not mean: a saturation signal counts in any case. */
function noteFlowOff({ flowControl }: EndpointPickerFile): Problem[] {
  const { saturationDetector: _, ...rest } = flowControl ?? {};
  if (Object.keys(rest).length === 0) return [];
  const message = "is only looked at with featureGates: [flowControl], its saturationDetector aside";
  return [{ path: ["flowControl"], at: "key", message }];
}
