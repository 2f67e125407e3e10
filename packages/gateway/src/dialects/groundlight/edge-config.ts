/** `GET` and `PUT /edge-config`: the document that `gl.edge` reads and writes (`groundlight.edge` of the client). */
import type { JsonObject } from "../../core/detector.ts";
import { Secret } from "../../core/secret.ts";
import type { Failure } from "../../core/errors.ts";
import { Fields, membersOf } from "./fields.ts";

/** How a detector's answers are put together, as the document has it. */
export interface EdgeInferenceConfig {
  readonly name: string;
  readonly enabled: boolean;
  /** Undefined: the document names none, or it is the one that is kept. */
  readonly apiToken: Secret | undefined;
  readonly alwaysReturnEdgePrediction: boolean;
  readonly disableCloudEscalation: boolean;
  readonly minTimeBetweenEscalationsSeconds: number;
}

/** The whole document. */
export interface EdgeConfig {
  readonly refreshRateSeconds: number;
  /** 0 to 1. */
  readonly confidentAuditRate: number;
  readonly inferenceConfigs: readonly EdgeInferenceConfig[];
  readonly detectors: readonly { readonly detectorId: string; readonly inferenceConfig: string }[];
}

const open = { enabled: true, apiToken: undefined, minTimeBetweenEscalationsSeconds: 2 };

/** What the client calls its presets; documents may name them without spelling them out. */
export const presetConfigs: readonly EdgeInferenceConfig[] = [
  { ...open, name: "default", alwaysReturnEdgePrediction: false, disableCloudEscalation: false },
  {
    ...open,
    name: "edge_answers_with_escalation",
    alwaysReturnEdgePrediction: true,
    disableCloudEscalation: false,
  },
  { ...open, name: "no_cloud", alwaysReturnEdgePrediction: true, disableCloudEscalation: true },
  {
    ...open,
    name: "disabled",
    enabled: false,
    alwaysReturnEdgePrediction: false,
    disableCloudEscalation: false,
  },
];

const maxConfigs = 1_000;
const maxDetectors = 10_000;
/** A year: longer pauses are a mistake of units. */
const maxPauseSeconds = 31_536_000;

/** Body of `PUT /edge-config` as JSON. Unknown members are ignored, as the client's model ignores them. */
export function readEdgeConfig(body: unknown): EdgeConfig | Failure {
  const fields = Fields.of(body, "edge config");
  const global = fields.object("global_config");
  const inferenceConfigs = readInferenceConfigs(fields);
  const known = new Set([...presetConfigs, ...inferenceConfigs].map(({ name }) => name));
  // The document replaces all: a mistyped key must not take every detector away.
  if (fields.raw("detectors") === undefined)
    fields.wrong("detectors", "must be there: a list, empty for none");
  const seen = new Set<string>();
  const detectors =
    fields.list("detectors", maxDetectors, (item) => {
      const detectorId = item.text("detector_id", 100);
      if (!/^det_[A-Za-z0-9]{1,40}$/.test(detectorId))
        item.wrong("detector_id", "must be det_ followed by letters and digits");
      if (seen.has(detectorId.toLowerCase())) item.wrong("detector_id", `${detectorId} is there twice`);
      seen.add(detectorId.toLowerCase());
      const inferenceConfig = item.text("edge_inference_config", 100);
      if (!known.has(inferenceConfig))
        item.wrong("edge_inference_config", `names ${JSON.stringify(inferenceConfig)}, which is not there`);
      return { detectorId, inferenceConfig };
    }) ?? [];
  const config = {
    refreshRateSeconds: global?.numberOr("refresh_rate", 60, { min: 0.1, max: 86_400 }) ?? 60,
    confidentAuditRate: global?.numberOr("confident_audit_rate", 1e-5, { min: 0, max: 1 }) ?? 1e-5,
    inferenceConfigs,
    detectors,
  };
  return fields.failure("bad_request") ?? config;
}

function readInferenceConfigs(fields: Fields): EdgeInferenceConfig[] {
  const configs = fields.object("edge_inference_configs");
  const names = Object.keys(membersOf(fields.raw("edge_inference_configs")) ?? {});
  if (names.length > maxConfigs)
    fields.wrong("edge_inference_configs", `has ${names.length} members, at most ${maxConfigs} are allowed`);
  return names.slice(0, maxConfigs).map((name) => readInferenceConfig(name, configs?.object(name)));
}

function readInferenceConfig(name: string, config: Fields | undefined): EdgeInferenceConfig {
  const always = config?.booleanOr("always_return_edge_prediction", false) ?? false;
  const disable = config?.booleanOr("disable_cloud_escalation", false) ?? false;
  if (disable && !always)
    config?.wrong("disable_cloud_escalation", "is only allowed with always_return_edge_prediction");
  const token = config?.textOr("api_token", undefined, 1_000);
  return {
    name,
    enabled: config?.booleanOr("enabled", true) ?? true,
    apiToken: token === undefined || token === "" ? undefined : Secret.of(token),
    alwaysReturnEdgePrediction: always,
    disableCloudEscalation: disable,
    minTimeBetweenEscalationsSeconds:
      config?.numberOr("min_time_between_escalations", 2, { min: 0.001, max: maxPauseSeconds }) ?? 2,
  };
}

/** The document. Tokens are left out: this address needs none of the cloud's rights to be read. */
export function writeEdgeConfig(config: EdgeConfig): JsonObject {
  return {
    global_config: {
      refresh_rate: config.refreshRateSeconds,
      confident_audit_rate: config.confidentAuditRate,
    },
    edge_inference_configs: Object.fromEntries(
      config.inferenceConfigs.map((each) => [each.name, writeInferenceConfig(each)]),
    ),
    detectors: config.detectors.map(({ detectorId, inferenceConfig }) => ({
      detector_id: detectorId,
      edge_inference_config: inferenceConfig,
    })),
  };
}

function writeInferenceConfig(config: EdgeInferenceConfig): JsonObject {
  return {
    enabled: config.enabled,
    api_token: null,
    always_return_edge_prediction: config.alwaysReturnEdgePrediction,
    disable_cloud_escalation: config.disableCloudEscalation,
    min_time_between_escalations: config.minTimeBetweenEscalationsSeconds,
  };
}
