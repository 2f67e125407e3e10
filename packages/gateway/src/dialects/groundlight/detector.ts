/** Detectors on the wire: ours out, the cloud's in, callers' wishes in. */
import {
  detectorModes,
  type Detector,
  type DetectorMode,
  type JsonObject,
  type ModeConfiguration,
} from "../../core/detector.ts";
import type { CloudModelInfo } from "../../contracts/cloud.ts";
import type { Failure } from "../../core/errors.ts";
import { Fields, membersOf } from "./fields.ts";
import { checkMetadata, readMetadata } from "./metadata.ts";
import { readModeConfiguration, writeModeConfiguration } from "./result.ts";

const defaultThreshold = 0.9;
const defaultPatience = 30;
const statuses = ["ON", "OFF"] as const;
const escalationTypes = ["STANDARD", "NO_HUMAN_LABELING"] as const;
const threshold = { min: 0, max: 1 };
const patience = { min: 0, max: 3_600 };

/** A detector with all keys that clients demand. */
export function writeDetector(detector: Detector): JsonObject {
  return {
    id: detector.id,
    type: "detector",
    created_at: detector.createdAt,
    name: detector.name,
    query: detector.query,
    group_name: detector.groupName,
    confidence_threshold: detector.confidenceThreshold,
    patience_time: detector.patienceTime,
    metadata: detector.metadata,
    mode: detector.mode,
    mode_configuration: writeModeConfiguration(detector.modeConfiguration),
    status: detector.status,
    escalation_type: detector.escalationType,
  };
}

/** A detector of the cloud. `bad_upstream_answer` says what is missing or wrong first. */
export function readDetector(json: unknown): Detector | Failure {
  const fields = Fields.of(json, "detector");
  const mode = fields.wordOr("mode", detectorModes, "BINARY");
  const detector: Detector = {
    id: fields.text("id", 100),
    name: fields.text("name"),
    query: fields.text("query"),
    mode,
    modeConfiguration: readModeConfiguration(fields.object("mode_configuration"), mode),
    groupName: fields.textOr("group_name", ""),
    confidenceThreshold: fields.numberOr("confidence_threshold", defaultThreshold, threshold),
    patienceTime: fields.numberOr("patience_time", defaultPatience, { min: 0 }),
    createdAt: fields.text("created_at", 100),
    status: fields.wordOr("status", statuses, "ON"),
    // Newer words of the cloud are no reason to do without the detector.
    escalationType: fields.raw("escalation_type") === "NO_HUMAN_LABELING" ? "NO_HUMAN_LABELING" : "STANDARD",
    metadata: fields.json("metadata"),
    origin: "cloud",
  };
  return fields.failure("bad_upstream_answer") ?? detector;
}

/** A detector that a caller wants. */
export interface DetectorCreation {
  readonly name: string;
  readonly query: string;
  readonly mode: DetectorMode;
  readonly modeConfiguration: ModeConfiguration;
  readonly groupName: string;
  readonly confidenceThreshold: number;
  readonly patienceTime: number;
  readonly metadata: JsonObject | null;
}

/** Body of `POST /detectors` as JSON. */
export function readDetectorCreation(body: unknown): DetectorCreation | Failure {
  const fields = Fields.of(body, "detector");
  const mode = fields.wordOr("mode", detectorModes, "BINARY");
  const configuration = readModeConfiguration(fields.object("mode_configuration"), mode);
  checkConfiguration(fields, mode, configuration);
  const metadata = readDetectorMetadata(fields.raw("metadata"));
  const creation = {
    name: filled(fields, "name", 200),
    query: filled(fields, "query", 300),
    mode,
    modeConfiguration: configuration,
    groupName: fields.textOr("group_name", "Default", 100),
    confidenceThreshold: fields.numberOr("confidence_threshold", defaultThreshold, threshold),
    patienceTime: fields.numberOr("patience_time", defaultPatience, patience),
    metadata: metadata !== undefined && "metadata" in metadata ? metadata.metadata : null,
  };
  const wrong = fields.failure("bad_request");
  if (wrong !== undefined) return wrong;
  return metadata !== undefined && !("metadata" in metadata) ? metadata : creation;
}

/** What of a detector is to change. */
export interface DetectorPatch {
  readonly name: string | undefined;
  readonly confidenceThreshold: number | undefined;
  readonly patienceTime: number | undefined;
  readonly status: Detector["status"] | undefined;
  readonly escalationType: Detector["escalationType"] | undefined;
}

/** Body of `PATCH /detectors/{id}` as JSON. */
export function readDetectorPatch(body: unknown): DetectorPatch | Failure {
  const fields = Fields.of(body, "detector");
  const patch = {
    name: fields.raw("name") === undefined ? undefined : filled(fields, "name", 200),
    confidenceThreshold: fields.numberOr("confidence_threshold", undefined, threshold),
    patienceTime: fields.numberOr("patience_time", undefined, patience),
    status: fields.wordOr("status", statuses, undefined),
    escalationType: fields.wordOr("escalation_type", escalationTypes, undefined),
  };
  return fields.failure("bad_request") ?? patch;
}

function filled(fields: Fields, name: string, maxLength: number): string {
  const text = fields.text(name, maxLength);
  if (text === "") fields.wrong(name, "is empty");
  return text;
}

function checkConfiguration(fields: Fields, mode: DetectorMode, configuration: ModeConfiguration): void {
  const { className, classNames } = configuration;
  if ((mode === "COUNT" || mode === "BOUNDING_BOX") && (className ?? "") === "")
    fields.wrong("mode_configuration", "has no class_name");
  if (mode === "MULTI_CLASS" && (classNames === undefined || classNames.length < 2))
    fields.wrong("mode_configuration", "needs class_names with at least two names");
  if (classNames !== undefined && new Set(classNames).size < classNames.length)
    fields.wrong("mode_configuration", "has a class name twice");
}

/** The client sends base64, people an object. */
function readDetectorMetadata(given: unknown): ReturnType<typeof readMetadata> | undefined {
  if (given === undefined) return undefined;
  if (typeof given === "string") return readMetadata(given);
  const object = membersOf(given);
  return object === undefined ? readMetadata("") : checkMetadata(object as JsonObject);
}

/** Answer of `fetch-model-urls`. `bad_upstream_answer` says what is missing or wrong first. */
export function readModelInfo(json: unknown): CloudModelInfo | Failure {
  const fields = Fields.of(json, "model urls");
  const oodd = fields.textOr("oodd_pipeline_config", undefined);
  const info: CloudModelInfo = {
    pipelineConfig: fields.text("pipeline_config"),
    predictorMetadata: fields.text("predictor_metadata"),
    binary: readBinary(fields, ""),
    oodd: oodd === undefined ? undefined : { pipelineConfig: oodd, binary: readBinary(fields, "oodd_") },
  };
  return fields.failure("bad_upstream_answer") ?? info;
}

function readBinary(fields: Fields, prefix: string): CloudModelInfo["binary"] {
  const id = fields.textOr(`${prefix}model_binary_id`, undefined, 200);
  const url = fields.textOr(`${prefix}model_binary_url`, undefined, 8_192);
  if (id === undefined && url === undefined) return undefined;
  if (id === undefined) fields.wrong(`${prefix}model_binary_id`, "is missing beside its url");
  if (url === undefined) fields.wrong(`${prefix}model_binary_url`, "is missing beside its id");
  return { id: id ?? "", url: url ?? "" };
}
