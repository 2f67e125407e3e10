/** What a model's outputs say in a detector's words. */
import type { Detector, Finding, LocalAnswer } from "../../core/detector.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { TensorAnswer } from "../../core/request.ts";
import type { LabelMapping } from "../../contracts/local-inference.ts";
import { classifyRows, type Classification } from "../../dialects/tensors/classify.ts";
import { givesBoxes, readBoxes } from "./read-boxes.ts";

/** What a class of the model means to the detector, and how likely it is. */
interface Share {
  readonly meaning: string;
  readonly probability: number;
}

/** The word for a picture that cannot be judged. */
const unclear = "UNCLEAR";

/** Reads one picture's answer. `confidence` is the summed probability of all classes that mean what is answered. */
export function readLocalAnswer(
  detector: Detector,
  labels: LabelMapping,
  answer: TensorAnswer,
): LocalAnswer | Failure {
  const isAboutBoxes = detector.mode === "BOUNDING_BOX" || detector.mode === "COUNT";
  if (isAboutBoxes && givesBoxes(answer)) {
    const boxes = readBoxes(detector, answer);
    return isFailure(boxes) ? boxes : answerOf(answer, boxes);
  }
  const rows = classifyRows(answer, 1);
  if (isFailure(rows)) return rows;
  const [row] = rows;
  if (row === undefined) return failure("bad_upstream_answer", "The model answered no row");
  const modelLabels = answer.model.task?.labels ?? [];
  // A model that reads answers its text as the label of no class.
  const best =
    detector.mode === "TEXT" && row.label !== "" && row.scores === undefined
      ? { meaning: row.label, probability: row.confidence }
      : mostLikely(sharesOf(row, (index) => meaningOf(detector, labels, { index, modelLabels })));
  const finding = findingOf(detector, best.meaning);
  if (isFailure(finding)) return finding;
  const confidence = Math.min(1, Math.max(0, best.probability));
  return { ...answerOf(answer, { finding, confidence, rois: null }), probabilities: probabilitiesOf(row) };
}

function answerOf(
  { model, timing }: TensorAnswer,
  { finding, confidence, rois }: Pick<LocalAnswer, "finding" | "confidence" | "rois">,
): LocalAnswer {
  return {
    finding,
    confidence,
    rawConfidence: confidence,
    outOfDomain: undefined,
    probabilities: undefined,
    rois,
    text: finding.mode === "TEXT" ? finding.text : null,
    model: { name: model.name, version: model.version },
    computeMs: timing.computeMs,
  };
}

/** One score is the probability of class 1. */
function probabilitiesOf({ scores }: Classification): readonly number[] | undefined {
  const [only] = scores ?? [];
  return scores?.length === 1 && only !== undefined ? [1 - only, only] : scores;
}

function sharesOf(row: Classification, meaningAt: (index: number) => string): Share[] {
  const probabilities = probabilitiesOf(row);
  if (probabilities === undefined) return [{ meaning: meaningAt(row.classId), probability: row.confidence }];
  const shares = new Map<string, number>();
  for (const [index, probability] of probabilities.entries()) {
    const meaning = meaningAt(index);
    shares.set(meaning, (shares.get(meaning) ?? 0) + probability);
  }
  return Array.from(shares, ([meaning, probability]) => ({ meaning, probability }));
}

function mostLikely(shares: readonly Share[]): Share {
  let best: Share = { meaning: unclear, probability: 0 };
  for (const share of shares) if (share.probability > best.probability) best = share;
  return best;
}

/** A class of a model: its place, and the names of all, where it has names. */
export interface ModelClass {
  readonly index: number;
  readonly modelLabels: readonly string[];
}

/** What a class means to a detector, as a word of its mode. */
export function meaningOf(
  detector: Detector,
  labels: LabelMapping,
  { index, modelLabels }: ModelClass,
): string {
  const label = modelLabels[index] ?? String(index);
  if (labels.unclear?.includes(label) === true) return unclear;
  switch (detector.mode) {
    case "BINARY": {
      const isYes = labels.yes === undefined ? index === 0 : labels.yes.includes(label);
      return isYes ? "YES" : "NO";
    }
    case "MULTI_CLASS": {
      const names = detector.modeConfiguration.classNames ?? modelLabels;
      return names.includes(label) ? label : (names[index] ?? unclear);
    }
    case "COUNT":
      return /^\d+$/.test(label) ? label : String(index);
    case "TEXT":
      return modelLabels[index] ?? unclear;
    case "BOUNDING_BOX":
      return boxLabels[index] ?? unclear;
  }
}

const boxLabels = ["NO_OBJECTS", "BOUNDING_BOX", "GREATER_THAN_MAX"] as const;

/** The finding that such a word stands for. */
export function findingOf({ mode, modeConfiguration }: Detector, meaning: string): Finding | Failure {
  switch (mode) {
    case "BINARY":
      return { mode, label: meaning === "YES" ? "YES" : meaning === "NO" ? "NO" : unclear };
    case "MULTI_CLASS":
      return { mode, label: meaning };
    case "COUNT": {
      if (meaning === unclear) return { mode, count: null, greaterThanMax: false };
      const { maxCount = Infinity } = modeConfiguration;
      const count = Number(meaning);
      return { mode, count: Math.min(count, maxCount), greaterThanMax: count > maxCount };
    }
    case "TEXT": {
      if (meaning === unclear) return { mode, text: null, truncated: false };
      const { valueMaxLength = Infinity } = modeConfiguration;
      return { mode, text: meaning.slice(0, valueMaxLength), truncated: meaning.length > valueMaxLength };
    }
    case "BOUNDING_BOX":
      return { mode, label: boxLabels.find((label) => label === meaning) ?? unclear };
  }
}
