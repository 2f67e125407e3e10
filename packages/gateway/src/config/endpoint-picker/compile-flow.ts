/** Flow control of an `EndpointPickerConfig`. Defaults are those of the llm-d router v0.10. */
import type { BandSpec, FlowSpec } from "../../contracts/plugins/flow.ts";
import type { PluginKind } from "../../contracts/plugins/plugin.ts";
import { parseGoDuration } from "../../core/go-duration.ts";
import type { PluginList } from "./plugin-list.ts";
import { parseQuantity } from "./quantities.ts";
import type { BandFile, EndpointPickerFile } from "./schema.ts";

type FlowFile = NonNullable<EndpointPickerFile["flowControl"]>;
type Path = readonly PropertyKey[];

/** What holds where a file says nothing. */
const flowDefaults = {
  ttlMs: 60_000,
  bandRequests: 5_000,
  bandBytes: 1e9,
  fairness: "global-strict-fairness-policy",
  ordering: "fcfs-ordering-policy",
  usageLimit: "static-usage-limit-policy",
  saturation: "utilization-detector",
  eviction: "sheddable-eviction-filter",
} as const;

const flowKinds: readonly PluginKind[] = ["fairness", "ordering", "saturation", "usage-limit", "eviction"];

/**
 * Flow control of a file; undefined where something is wrong, which `list` has been told. With `shed`, the feature is off:
 * of the file only the saturation signal counts, by which requests below priority 0 are refused.
 */
export function compileFlow(
  file: EndpointPickerFile,
  list: PluginList,
  mode: "wait" | "shed",
): FlowSpec | undefined {
  const before = list.problems.length;
  const flow: FlowFile = mode === "shed" ? {} : (file.flowControl ?? {});
  const at = ["flowControl"];
  const band = bandReader(list);
  const defaultBand = band(flow.defaultPriorityBand ?? {}, [...at, "defaultPriorityBand"]);
  const negative = flow.defaultNegativePriorityBand ?? undefined;
  const defaultNegativeBand =
    negative === undefined ? defaultBand : band(negative, [...at, "defaultNegativePriorityBand"]);
  const bands = (flow.priorityBands ?? []).map((each, index) => ({
    priority: each.priority,
    ...band(each, [...at, "priorityBands", index]),
  }));
  findDuplicates(flow, list);
  const saturation = findSaturation(file, list);
  const usageLimit = findPolicy(list, {
    name: flow.usageLimitPolicyPluginRef,
    path: [...at, "usageLimitPolicyPluginRef"],
    kind: "usage-limit",
    usual: flowDefaults.usageLimit,
  });
  const eviction = flow.enableEviction === true ? findEviction(list) : undefined;
  if (list.problems.length > before) return undefined;
  const plugins = list.entries.filter(
    ({ used, definition }) => used && definition.kinds.some((kind) => flowKinds.includes(kind)),
  );
  const defaultTtlMs = ttl(flow.defaultRequestTTL, flowDefaults.ttlMs);
  return {
    plugins: plugins.map(({ spec }) => spec),
    maxRequests: limit(flow.maxRequests, Infinity),
    maxBytes: limit(flow.maxBytes, Infinity),
    maxTokens: Infinity,
    defaultTtlMs,
    noEndpointTtlMs: ttl(flow.noEndpointRequestTTL, defaultTtlMs),
    bands,
    defaultBand,
    defaultNegativeBand,
    saturation,
    usageLimit,
    eviction,
    mode,
  };
}

/** The saturation signal, also from where older files have it. */
function findSaturation({ flowControl, saturationDetector }: EndpointPickerFile, list: PluginList): string {
  const today = flowControl?.saturationDetector ?? undefined;
  const older = saturationDetector ?? undefined;
  if (older !== undefined) {
    const message =
      today === undefined
        ? "the older place of flowControl.saturationDetector"
        : "flowControl.saturationDetector counts, this older place does not";
    list.warnings.push({ path: ["saturationDetector"], at: "key", message });
  }
  const place = today === undefined ? ["saturationDetector"] : ["flowControl", "saturationDetector"];
  return findPolicy(list, {
    name: (today ?? older)?.pluginRef,
    path: [...place, "pluginRef"],
    kind: "saturation",
    usual: flowDefaults.saturation,
  });
}

/** The policy that is declared, else the usual one. */
function findEviction(list: PluginList): string | undefined {
  const declared = list.ofKind("eviction")[0];
  if (declared === undefined) return list.imply(flowDefaults.eviction)?.spec.name;
  for (const each of list.ofKind("eviction")) each.used = true;
  return declared.spec.name;
}

interface PolicyReference {
  readonly name: string | undefined;
  readonly path: Path;
  readonly kind: PluginKind;
  /** Type that is there without being declared. */
  readonly usual: string;
}

/** The plugin's name; the usual one where the reference is wrong, which `list` has been told. */
function findPolicy(list: PluginList, { name, path, kind, usual }: PolicyReference): string {
  const isUsual = name === undefined || name === "" || name === usual;
  if (isUsual && !list.has(usual)) list.imply(usual);
  else list.resolve(isUsual ? usual : name, { path, kinds: [kind] });
  return isUsual ? usual : name;
}

function bandReader(list: PluginList): (band: BandFile, path: Path) => BandSpec {
  return ({ maxRequests, maxBytes, fairnessPolicyRef, orderingPolicyRef }, path) => ({
    maxRequests: limit(maxRequests, flowDefaults.bandRequests),
    maxBytes: limit(maxBytes, flowDefaults.bandBytes),
    maxTokens: Infinity,
    fairness: findPolicy(list, {
      name: fairnessPolicyRef,
      path: [...path, "fairnessPolicyRef"],
      kind: "fairness",
      usual: flowDefaults.fairness,
    }),
    ordering: findPolicy(list, {
      name: orderingPolicyRef,
      path: [...path, "orderingPolicyRef"],
      kind: "ordering",
      usual: flowDefaults.ordering,
    }),
  });
}

function findDuplicates({ priorityBands }: FlowFile, list: PluginList): void {
  const seen = new Set<number>();
  for (const [index, { priority }] of (priorityBands ?? []).entries()) {
    if (seen.has(priority)) {
      const path = ["flowControl", "priorityBands", index, "priority"];
      list.problems.push({ path, message: `there are two bands of priority ${priority}` });
    }
    seen.add(priority);
  }
}

/** 0 and nothing are the default. */
function limit(quantity: string | number | null | undefined, otherwise: number): number {
  const value = quantity === null || quantity === undefined ? 0 : (parseQuantity(quantity) ?? 0);
  return value === 0 ? otherwise : value;
}

/** An explicit 0 is as long as the caller waits. */
function ttl(duration: string | null | undefined, otherwise: number): number {
  if (duration === null || duration === undefined) return otherwise;
  const ms = parseGoDuration(duration) ?? otherwise;
  return ms === 0 ? Infinity : ms;
}
