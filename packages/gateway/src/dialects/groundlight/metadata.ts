/** Metadata of image queries: a small JSON object that travels as URL-safe base64, and what the edge adds to it. */
import type { Detector, Finding, JsonObject, JsonValue, LocalAnswer, Roi } from "../../core/detector.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { membersOf } from "./fields.ts";
import { writeRois } from "./result.ts";

/** Of the JSON text, as Groundlight bounds it. */
const maxMetadataCharacters = 1_024;

/** Keys that only the edge writes. */
const reservedMetadataKeys = ["is_edge_audit", "edge_result", "is_from_edge"] as const;

/** A caller's metadata in a box, since its keys may be those of a failure. */
export interface GivenMetadata {
  readonly metadata: JsonObject;
}

/** A caller's metadata: base64, URL-safe or not, with or without padding. */
export function readMetadata(given: string): GivenMetadata | Failure {
  // A plus that a caller did not escape arrives as a space.
  const base64 = given.replaceAll(" ", "+");
  if (!/^[\w+/-]*={0,2}$/.test(base64)) return wrong("is not base64");
  const text = Buffer.from(base64, "base64").toString("utf8");
  if (text.length > maxMetadataCharacters)
    return wrong(`is ${text.length} characters of JSON, at most ${maxMetadataCharacters} are allowed`);
  const object = parseObject(text);
  if (object === undefined) return wrong("is not base64 of a JSON object");
  return refuseReserved(object);
}

/** Metadata that came as a JSON object, such as that of a detector. */
export function checkMetadata(object: JsonObject): GivenMetadata | Failure {
  const { length } = JSON.stringify(object);
  return length > maxMetadataCharacters
    ? wrong(`is ${length} characters of JSON, at most ${maxMetadataCharacters} are allowed`)
    : refuseReserved(object);
}

/** Metadata as it travels in a query string, before percent-encoding. */
export function encodeMetadata(metadata: JsonObject): string {
  return Buffer.from(JSON.stringify(metadata), "utf8").toString("base64url");
}

function refuseReserved(object: JsonObject): GivenMetadata | Failure {
  const reserved = reservedMetadataKeys.find((key) => Object.hasOwn(object, key));
  return reserved === undefined
    ? { metadata: object }
    : wrong(`has the key ${reserved}; ${reservedMetadataKeys.join(", ")} are written by the edge`);
}

function parseObject(text: string): JsonObject | undefined {
  try {
    return membersOf(JSON.parse(text)) as JsonObject | undefined;
  } catch {
    return undefined;
  }
}

function wrong(problem: string): Failure {
  return { ...failure("bad_request", `metadata ${problem}`), field: "metadata" };
}

/** What was answered at the edge, told to the cloud with the picture. */
export interface EdgeResultToTell {
  readonly detector: Detector;
  /** Undefined: no local model answered. */
  readonly answer: LocalAnswer | undefined;
  /** The query is one of the sample of sure answers. */
  readonly audit: boolean;
  /** The caller's; undefined: none. */
  readonly metadata: JsonObject | undefined;
}

/**
 * Metadata of an escalation: the caller's, `is_edge_audit` for an audit, and `edge_result`. Where that is more than 1,024
 * bytes of JSON the boxes become their number, then `edge_result` goes, then the mark of an audit; what the caller gave
 * stays. Undefined where there is nothing to tell.
 */
export function edgeResultMetadata({
  detector,
  answer,
  audit,
  metadata,
}: EdgeResultToTell): JsonObject | undefined {
  const base: JsonObject = { ...metadata };
  const marked: JsonObject = audit ? { ...base, is_edge_audit: true } : base;
  const result = answer === undefined ? undefined : edgeResult(detector, answer);
  const candidates =
    result === undefined
      ? [marked, base]
      : [
          { ...marked, edge_result: result },
          { ...marked, edge_result: { ...result, rois: roiSummary(answer?.rois ?? null) } },
          marked,
          base,
        ];
  const chosen = candidates.find(fits) ?? base;
  return Object.keys(chosen).length === 0 ? undefined : chosen;
}

/** Metadata of an answer given here: the caller's, that it is the edge's, and which model answered. */
export function edgeAnswerMetadata(
  metadata: JsonObject | undefined,
  model: LocalAnswer["model"] | undefined,
): JsonObject {
  const marked = { ...metadata, is_from_edge: true };
  return model === undefined
    ? marked
    : { ...marked, edge_result: { model: model.name, version: model.version } };
}

function fits(metadata: JsonObject): boolean {
  return Buffer.byteLength(JSON.stringify(metadata)) <= maxMetadataCharacters;
}

function roiSummary(rois: readonly Roi[] | null): JsonValue {
  return rois === null ? null : `${rois.length} ROIs were detected.`;
}

function edgeResult(detector: Detector, answer: LocalAnswer): JsonObject {
  const { outOfDomain } = answer;
  return {
    confidence: answer.confidence,
    label: labelIndex(detector, answer.finding),
    text: answer.text,
    rois: writeRois(answer.rois),
    ...(outOfDomain !== undefined && {
      raw_primary_confidence: answer.rawConfidence,
      raw_oodd_prediction: {
        label: outOfDomain >= 0.5 ? 1 : 0,
        confidence: Math.max(outOfDomain, 1 - outOfDomain),
      },
    }),
    model: `${answer.model.name}/${answer.model.version}`,
  };
}

const boxLabels = ["NO_OBJECTS", "BOUNDING_BOX", "GREATER_THAN_MAX", "UNCLEAR"] as const;

/** Labels go as the numbers that Groundlight's models give: 0 is YES. Without a number the word goes. */
function labelIndex({ modeConfiguration }: Detector, finding: Finding): JsonValue {
  switch (finding.mode) {
    case "BINARY":
      return finding.label === "UNCLEAR" ? finding.label : finding.label === "YES" ? 0 : 1;
    case "COUNT":
      return finding.count;
    case "MULTI_CLASS": {
      const at = modeConfiguration.classNames?.indexOf(finding.label) ?? -1;
      return at < 0 ? finding.label : at;
    }
    case "BOUNDING_BOX":
      return boxLabels.indexOf(finding.label);
    case "TEXT":
      return null;
  }
}
