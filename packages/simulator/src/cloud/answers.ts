/** What the cloud says of a picture, and how the answer of a query stands at a moment. */
import { text } from "../faces/fields.ts";
import { createRandom, hashText } from "../random.ts";
import type { CloudAnswer, CloudMode, CloudOptions, CloudRoi } from "./cloud-options.ts";
import { classesOf, mayLabel } from "./detectors.ts";
import type { CloudDetector } from "./detectors.ts";
import type { CloudQuery, DecidedAnswer } from "./records.ts";

/** What a query is answered by at a moment. */
export interface Standing {
  readonly source: "STILL_PROCESSING" | "ALGORITHM" | "CLOUD" | "USER";
  readonly label: string;
  readonly confidence: number;
  readonly rois: readonly CloudRoi[] | null;
}

/** The answer for a query: the truth's, else the label of its picture, else one by the seed, the same in every run. */
export function decideAnswer(
  query: CloudQuery,
  picture: Buffer,
  { detector, options, seed }: { detector: CloudDetector; options: CloudOptions; seed: number },
): DecidedAnswer {
  const { id, sha256, metadata } = query;
  const told =
    options.truth?.({
      queryId: id,
      detectorId: detector.id,
      detectorName: detector.name,
      mode: detector.mode,
      picture,
      sha256,
      metadata,
    }) ?? labelOf(options.labels?.[sha256], detector);
  const answer: Partial<CloudAnswer> = told ?? {};
  const random = createRandom(hashText(`${detector.query}\n${sha256}`, seed));
  const classes = classesOf(detector);
  const drawn = classes[Math.floor(random.unit() * classes.length)] ?? "UNCLEAR";
  const label = String(answer.label ?? drawn);
  return {
    label,
    machineLabel: String(answer.machineLabel ?? label),
    confidence: answer.confidence ?? Math.round((0.5 + random.unit() / 2) * 10_000) / 10_000,
    rois: answer.rois ?? (hasBoxes(detector.mode, label) ? boxes(detector, label, random.unit()) : null),
  };
}

/** A picture's label; undefined where it says nothing to this detector's question. */
function labelOf(
  given: string | number | CloudAnswer | undefined,
  detector: CloudDetector,
): CloudAnswer | undefined {
  if (given === undefined) return undefined;
  const answer = typeof given === "object" ? given : { label: given };
  return mayLabel(detector, String(answer.label)) ? answer : undefined;
}

function hasBoxes(mode: CloudMode, label: string): boolean {
  return (mode === "BOUNDING_BOX" && label === "BOUNDING_BOX") || (mode === "COUNT" && Number(label) > 0);
}

/** Boxes side by side: one for a bounding box, as many as were counted otherwise. */
function boxes({ mode, modeConfiguration }: CloudDetector, label: string, score: number): CloudRoi[] {
  const many = mode === "COUNT" ? Math.min(50, Number(label)) : 1;
  const name = text(modeConfiguration?.["class_name"]) ?? "object";
  const width = 1 / many;
  return Array.from({ length: many }, (_, at) => ({
    label: name,
    score: Math.round((0.5 + score / 2) * 1000) / 1000,
    geometry: { left: at * width, top: 0.25, right: (at + 0.8) * width, bottom: 0.75 },
  }));
}

/** Whether a person looks at a query that the machine has answered. */
export function isReviewed(query: CloudQuery, detector: CloudDetector): boolean {
  if (query.humanReview === "ALWAYS") return true;
  if (query.humanReview === "NEVER" || detector.escalationType === "NO_HUMAN_LABELING") return false;
  return query.answer.confidence < query.confidenceThreshold;
}

/** How a query stands at a moment: a label wins, then the person's answer, then the machine's, each once it is due. */
export function standingOf(
  query: CloudQuery,
  detector: CloudDetector,
  { options, now }: { options: CloudOptions; now: number },
): Standing {
  const { answer, label } = query;
  if (label !== undefined) return { source: "USER", label: label.label, confidence: 1, rois: label.rois };
  const { answerAfterMs = 0, reviewAfterMs } = options;
  const age = now - query.startedAt;
  const { rois } = answer;
  if (age < answerAfterMs)
    return { source: "STILL_PROCESSING", label: "UNCLEAR", confidence: 0.5, rois: null };
  if (reviewAfterMs !== undefined && age >= answerAfterMs + reviewAfterMs && isReviewed(query, detector))
    return { source: "CLOUD", label: answer.label, confidence: 1, rois };
  return { source: "ALGORITHM", label: answer.machineLabel, confidence: answer.confidence, rois };
}

const RESULT_TYPES: Readonly<Record<CloudMode, string>> = {
  BINARY: "binary_classification",
  COUNT: "counting",
  MULTI_CLASS: "multi_classification",
  TEXT: "text_recognition",
  BOUNDING_BOX: "bounding_box",
};

/** The `result_type` of a mode. */
export function resultTypeOf(mode: CloudMode): string {
  return RESULT_TYPES[mode];
}

/** The `result` object of a standing. */
export function writeResult({ source, label, confidence }: Standing, detector: CloudDetector): object {
  const { mode, modeConfiguration } = detector;
  const head = { confidence, source, result_type: RESULT_TYPES[mode], from_edge: false };
  switch (mode) {
    case "COUNT": {
      const most = Number(modeConfiguration?.["max_count"] ?? 10);
      const count = label === "UNCLEAR" || label === "" ? NaN : Number(label);
      return {
        ...head,
        count: Number.isInteger(count) && count >= 0 ? Math.min(count, most) : null,
        greater_than_max: count > most,
      };
    }
    case "TEXT": {
      const most = Number(modeConfiguration?.["value_max_length"] ?? 250);
      const unread = source === "STILL_PROCESSING";
      return { ...head, text: unread ? null : label.slice(0, most), truncated: label.length > most };
    }
    default:
      return { ...head, label };
  }
}

/** Boxes as the API writes them: with the middle of each. */
export function writeRois(rois: readonly CloudRoi[] | null): unknown[] | null {
  if (rois === null) return null;
  return rois.map(({ label, score, geometry }) => ({
    label,
    score,
    geometry: {
      ...geometry,
      x: (geometry.left + geometry.right) / 2,
      y: (geometry.top + geometry.bottom) / 2,
    },
  }));
}
