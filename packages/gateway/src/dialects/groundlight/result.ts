/** Results, boxes and modes as the API writes them (OpenAPI 0.18 of the Groundlight cloud). */
import {
  detectorModes,
  type DetectorMode,
  type Finding,
  type JsonObject,
  type ModeConfiguration,
  type QueryResult,
  type Roi,
} from "../../core/detector.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { Fields } from "./fields.ts";

/** `result_type` of every mode. */
export const resultTypes = {
  BINARY: "binary_classification",
  COUNT: "counting",
  MULTI_CLASS: "multi_classification",
  TEXT: "text_recognition",
  BOUNDING_BOX: "bounding_box",
} as const satisfies Record<DetectorMode, string>;

/** More boxes than a detector may give or a caller may draw. */
const maxRois = 1_000;

/** The mode of a `result_type`; undefined for an unknown one. */
export function modeOfResultType(given: unknown): DetectorMode | undefined {
  return detectorModes.find((mode) => resultTypes[mode] === given);
}

/** The `result` object. `result_type` is always there: without it clients read classes as YES and NO. */
export function writeResult({ finding, confidence, source, fromEdge }: QueryResult): JsonObject {
  const head = { confidence, source, result_type: resultTypes[finding.mode], from_edge: fromEdge };
  switch (finding.mode) {
    case "COUNT":
      return { ...head, count: finding.count, greater_than_max: finding.greaterThanMax };
    case "TEXT":
      return { ...head, text: finding.text, truncated: finding.truncated };
    case "BINARY":
    case "MULTI_CLASS":
    case "BOUNDING_BOX":
      return { ...head, label: finding.label };
  }
}

/** Reads a `result` object; its own `result_type` goes before the query's. */
export function readResult(fields: Fields, queryMode: DetectorMode): QueryResult {
  const mode = modeOfResultType(fields.raw("result_type")) ?? queryMode;
  return {
    finding: readFinding(fields, mode),
    confidence: fields.numberOr("confidence", null, { min: 0, max: 1 }),
    source: fields.textOr("source", "STILL_PROCESSING"),
    fromEdge: fields.booleanOr("from_edge", null),
  };
}

function readFinding(fields: Fields, mode: DetectorMode): Finding {
  switch (mode) {
    case "COUNT":
      return {
        mode,
        count: fields.numberOr("count", null, { min: 0, integer: true }),
        greaterThanMax: fields.booleanOr("greater_than_max", false),
      };
    case "TEXT":
      return {
        mode,
        text: fields.textOr("text", undefined) ?? null,
        truncated: fields.booleanOr("truncated", false),
      };
    case "MULTI_CLASS":
      return { mode, label: fields.text("label") };
    case "BINARY":
      return { mode, label: fields.wordOr("label", ["UNCLEAR", "YES", "NO"], undefined) ?? noLabel(fields) };
    case "BOUNDING_BOX": {
      const words = ["UNCLEAR", "NO_OBJECTS", "BOUNDING_BOX", "GREATER_THAN_MAX"] as const;
      return { mode, label: fields.wordOr("label", words, undefined) ?? noLabel(fields) };
    }
  }
}

function noLabel(fields: Fields): "UNCLEAR" {
  fields.wrong("label", "is missing");
  return "UNCLEAR";
}

/** Boxes with the middle of each. */
export function writeRois(rois: readonly Roi[] | null): JsonObject[] | null {
  if (rois === null) return null;
  return rois.map(({ label, score, geometry: { left, top, right, bottom } }) => ({
    label,
    score,
    geometry: { left, top, right, bottom, x: (left + right) / 2, y: (top + bottom) / 2 },
  }));
}

/** Boxes of a query or label; undefined where there are none. A box without a score was drawn by a person: 1. */
export function readRois(fields: Fields): Roi[] | undefined {
  return fields.list("rois", maxRois, (roi) => {
    const geometry = roi.object("geometry");
    if (geometry === undefined) roi.wrong("geometry", "is missing");
    const side = (name: string): number => geometry?.number(name, { min: -1, max: 2 }) ?? 0;
    return {
      label: roi.textOr("label", ""),
      score: roi.numberOr("score", 1, { min: 0, max: 1 }),
      geometry: { left: side("left"), top: side("top"), right: side("right"), bottom: side("bottom") },
    };
  });
}

/** `mode_configuration`; null where the mode needs none. */
export function writeModeConfiguration(configuration: ModeConfiguration): JsonObject | null {
  const { classNames, className, maxCount, maxNumBboxes, valueMaxLength } = configuration;
  const written: JsonObject = {
    ...(className !== undefined && { class_name: className }),
    ...(classNames !== undefined && { class_names: classNames, num_classes: classNames.length }),
    ...(maxCount !== undefined && { max_count: maxCount }),
    ...(maxNumBboxes !== undefined && { max_num_bboxes: maxNumBboxes }),
    ...(valueMaxLength !== undefined && { value_max_length: valueMaxLength }),
  };
  return Object.keys(written).length === 0 ? null : written;
}

/** Reads `mode_configuration` of a detector: members of other modes are left out. */
export function readModeConfiguration(fields: Fields | undefined, mode: DetectorMode): ModeConfiguration {
  if (fields === undefined) return {};
  const whole = (name: string, max: number): number | undefined =>
    fields.numberOr(name, undefined, { min: 1, max, integer: true });
  switch (mode) {
    case "BINARY":
      return {};
    case "COUNT":
      return present({ className: fields.textOr("class_name", undefined), maxCount: whole("max_count", 50) });
    case "MULTI_CLASS":
      return present({ classNames: fields.texts("class_names", 1_000) });
    case "TEXT":
      return present({ valueMaxLength: whole("value_max_length", 250) });
    case "BOUNDING_BOX":
      return present({
        className: fields.textOr("class_name", undefined),
        maxNumBboxes: whole("max_num_bboxes", 50),
      });
  }
}

/** Members without a value are left out. */
function present(given: {
  readonly [Name in keyof ModeConfiguration]: ModeConfiguration[Name] | undefined;
}): ModeConfiguration {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** What a label that somebody gives says, or why a detector of this mode cannot have it. */
export function findingOfLabel(
  { mode, modeConfiguration }: { readonly mode: DetectorMode; readonly modeConfiguration: ModeConfiguration },
  label: string,
): Finding | Failure {
  switch (mode) {
    case "BINARY":
      return label === "YES" || label === "NO" || label === "UNCLEAR"
        ? { mode, label }
        : wrongLabel(label, "YES, NO or UNCLEAR");
    case "COUNT": {
      if (label === "UNCLEAR") return { mode, count: null, greaterThanMax: false };
      if (!/^\d{1,6}$/.test(label)) return wrongLabel(label, "a whole number or UNCLEAR");
      const { maxCount = Infinity } = modeConfiguration;
      return { mode, count: Math.min(Number(label), maxCount), greaterThanMax: Number(label) > maxCount };
    }
    case "MULTI_CLASS": {
      const { classNames } = modeConfiguration;
      return classNames === undefined || label === "UNCLEAR" || classNames.includes(label)
        ? { mode, label }
        : wrongLabel(label, `${classNames.slice(0, 20).join(", ")} or UNCLEAR`);
    }
    case "BOUNDING_BOX":
      return label === "NO_OBJECTS" ||
        label === "BOUNDING_BOX" ||
        label === "GREATER_THAN_MAX" ||
        label === "UNCLEAR"
        ? { mode, label }
        : wrongLabel(label, "NO_OBJECTS, BOUNDING_BOX, GREATER_THAN_MAX or UNCLEAR");
    case "TEXT":
      return { mode, text: label, truncated: false };
  }
}

function wrongLabel(label: string, expected: string): Failure {
  return {
    ...failure("bad_request", `label is ${JSON.stringify(label.slice(0, 100))}, expected ${expected}`),
    field: "label",
  };
}
