/** The edge endpoint's part of the configuration: from what people write to what engines are told. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type {
  CalibrationOptions,
  EdgeCloudOptions,
  EdgeDetectorOptions,
  EdgeModelsOptions,
  EdgeOptions,
  EdgePolicy,
} from "../contracts/edge-options.ts";
import type { LocalModel } from "../contracts/local-inference.ts";
import type { Detector, ModeConfiguration } from "../core/detector.ts";
import type { Secret } from "../core/secret.ts";
import { builtinDetectors } from "./builtin-detectors.ts";
import type { DefaultedConfig } from "./schema.ts";

type DefaultedEdge = Exclude<DefaultedConfig["edge"], false | undefined>;
type DefaultedDetector = NonNullable<DefaultedEdge["detectors"]>[number];
type DefaultedBehaviour = DefaultedEdge["defaults"];
type DefaultedModel = NonNullable<DefaultedDetector["model"]>;

/** Reads durations, sizes and secrets that the schema let through. */
export interface Units {
  ms(duration: string): number;
  bytes(size: string): number;
  secret(text: string): Secret;
  /** Folder that relative paths start from. */
  readonly directory: string;
}

/** Compiles the key `edge`; undefined where there is no edge endpoint. */
export function compileEdge(edge: DefaultedConfig["edge"], units: Units): EdgeOptions | undefined {
  if (edge === undefined || edge === false) return undefined;
  const policies = compilePolicies(edge, units);
  const policyOf = (name: string | undefined): EdgePolicy =>
    policies.find((policy) => policy.name === (name ?? edge.defaults.policy ?? "default")) ?? presets.default;
  const defaults: EdgeOptions["defaults"] = {
    policy: policyOf(undefined),
    ...compileBehaviour(edge.defaults, undefined, units),
  };
  const named = edge.detectors?.map((each): EdgeDetectorOptions => ({
    id: each.id,
    policy: policyOf(each.policy),
    detector: compileDetector(each),
    model: compileModel(each.model),
    ...compileBehaviour(each, edge.defaults, units),
  }));
  return {
    cloud: edge.cloud && compileCloud(edge.cloud, units),
    policies,
    detectors: named ?? builtinDetectors.map((each) => ({ ...defaults, ...each })),
    defaults,
    rejectUnknownDetectors: edge.rejectUnknownDetectors,
    models: compileModels(edge.models, units),
    refreshMs: units.ms(edge.refresh),
    auditRate: edge.auditRate,
    escalationsPerMonth: edge.escalationsPerMonth,
    outboxBytes: units.bytes(edge.outbox),
    ring: { bytes: units.bytes(edge.ring.size), bytesPerSecond: units.bytes(edge.ring.perSecond) },
  } satisfies EdgeOptions;
}

function preset(name: string, flags: Partial<EdgePolicy> = {}): EdgePolicy {
  return {
    name,
    enabled: true,
    alwaysReturnEdgePrediction: false,
    disableCloudEscalation: false,
    minTimeBetweenEscalationsMs: 2_000,
    apiToken: undefined,
    ...flags,
  };
}

/** Groundlight's four; a configuration may say them anew. */
const presets = {
  default: preset("default"),
  edge_answers_with_escalation: preset("edge_answers_with_escalation", { alwaysReturnEdgePrediction: true }),
  no_cloud: preset("no_cloud", { alwaysReturnEdgePrediction: true, disableCloudEscalation: true }),
  disabled: preset("disabled", { enabled: false }),
} as const;

/** Names of the policies that need no configuration. */
export const presetPolicies: readonly string[] = Object.keys(presets);

function compilePolicies({ policies }: DefaultedEdge, units: Units): readonly EdgePolicy[] {
  const own = Object.entries(policies).map(([name, policy]): EdgePolicy => ({
    name,
    enabled: policy.enabled,
    alwaysReturnEdgePrediction: policy.alwaysReturnEdgePrediction,
    disableCloudEscalation: policy.disableCloudEscalation,
    minTimeBetweenEscalationsMs: units.ms(policy.minTimeBetweenEscalations),
    apiToken: policy.apiToken === undefined ? undefined : units.secret(policy.apiToken),
  }));
  return [...Object.values(presets).filter(({ name }) => !Object.hasOwn(policies, name)), ...own];
}

const defaultCalibration: CalibrationOptions = { mode: "suggest", agreement: 0.95 };

const defaultLocalTimeout = "5s";

function compileBehaviour(
  own: DefaultedBehaviour,
  shared: DefaultedBehaviour | undefined,
  units: Units,
): Omit<EdgeOptions["defaults"], "policy"> {
  return {
    localTimeoutMs: units.ms(own.localTimeout ?? shared?.localTimeout ?? defaultLocalTimeout),
    auditRate: own.auditRate ?? shared?.auditRate,
    escalationsPerMonth: own.escalationsPerMonth ?? shared?.escalationsPerMonth,
    calibration: own.calibration ?? shared?.calibration ?? defaultCalibration,
  };
}

/** Undefined where the question is the cloud's to tell. */
function compileDetector(detector: DefaultedDetector): Detector | undefined {
  const { id, query, mode = "BINARY" } = detector;
  if (query === undefined) return undefined;
  return {
    id,
    name: detector.name ?? query,
    query,
    mode,
    modeConfiguration: compileModeConfiguration(detector),
    groupName: "Default",
    confidenceThreshold: detector.confidenceThreshold ?? 0.9,
    patienceTime: detector.patienceTime ?? 30,
    createdAt: configuredAt,
    status: "ON",
    escalationType: "STANDARD",
    metadata: null,
    origin: "configuration",
  };
}

/** A configuration does not say when it was written. */
const configuredAt = "2020-01-01T00:00:00.000Z";

function compileModeConfiguration(detector: DefaultedDetector): ModeConfiguration {
  const { mode = "BINARY", classNames, className, maxCount, maxNumBboxes, valueMaxLength } = detector;
  switch (mode) {
    case "BINARY":
      return {};
    case "MULTI_CLASS":
      return classNames === undefined ? {} : { classNames };
    case "COUNT":
      return { ...(className !== undefined && { className }), ...(maxCount !== undefined && { maxCount }) };
    case "BOUNDING_BOX":
      return {
        ...(className !== undefined && { className }),
        ...(maxNumBboxes !== undefined && { maxNumBboxes }),
      };
    case "TEXT":
      return valueMaxLength === undefined ? {} : { valueMaxLength };
  }
}

function compileModel(model: DefaultedModel | undefined): LocalModel | undefined {
  if (model === undefined) return undefined;
  if (typeof model === "string")
    return { name: model, version: undefined, outOfDomain: undefined, labels: {} };
  if ("server" in model) return compileServerModel(model);
  const { name, version, outOfDomain, yes, unclear } = model;
  return {
    name,
    version,
    outOfDomain,
    labels: { ...(yes !== undefined && { yes }), ...(unclear !== undefined && { unclear }) },
  };
}

function compileServerModel(model: Extract<DefaultedModel, { readonly server: string }>): LocalModel {
  const { server: url, outOfDomainServer: outOfDomainUrl } = model;
  const name = new URL(url).host;
  return { name, version: undefined, outOfDomain: undefined, labels: {}, server: { url, outOfDomainUrl } };
}

function compileCloud(cloud: NonNullable<DefaultedEdge["cloud"]>, units: Units): EdgeCloudOptions {
  return {
    origin: cloud.origin.replace(/\/$/, ""),
    token: cloud.token === undefined ? undefined : units.secret(cloud.token),
    ca: cloud.ca === undefined ? undefined : resolve(units.directory, cloud.ca),
    connectTimeoutMs: units.ms(cloud.connectTimeout),
    timeoutMs: units.ms(cloud.timeout),
  } satisfies EdgeCloudOptions;
}

function compileModels(
  { index, ca, packageSize, diskSize }: DefaultedEdge["models"],
  units: Units,
): EdgeModelsOptions {
  const isAddress = index !== undefined && /^[a-z][a-z0-9+.-]+:/i.test(index);
  return {
    index: index === undefined || isAddress ? index : pathToFileURL(resolve(units.directory, index)).href,
    ca: ca === undefined ? undefined : resolve(units.directory, ca),
    packageBytes: units.bytes(packageSize),
    diskBytes: units.bytes(diskSize),
  } satisfies EdgeModelsOptions;
}
