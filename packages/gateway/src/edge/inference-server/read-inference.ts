/** What Groundlight's inference server answers to `POST /infer`, in a detector's words (edge-endpoint 0.7.1). */
import * as z from "zod";
import type { Detector, LocalAnswer, Roi } from "../../core/detector.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { LabelMapping } from "../../contracts/local-inference.ts";
import { findingOf, meaningOf } from "../local/read-local-answer.ts";

const share = z.number().min(0).max(1.000_1);
const label = z.int().min(0).max(10_000);
const roi = z.object({
  label: z.string(),
  score: z.number(),
  geometry: z.object({ left: z.number(), top: z.number(), right: z.number(), bottom: z.number() }),
});
const rois = z.array(z.array(roi).max(1_000)).nullish();
const answerSchema = z.object({
  predictions: z
    .object({
      confidences: z.array(share).optional(),
      labels: z.array(label).min(1),
      probabilities: z.array(share).min(1),
    })
    .nullish(),
  multi_predictions: z
    .object({
      probabilities: z.array(z.array(share).min(1).max(10_000)).min(1),
      labels: z.array(z.array(label)).optional(),
      rois,
      max_dropped_roi_scores: z.array(share).nullish(),
      text: z.unknown().optional(),
    })
    .nullish(),
  secondary_predictions: z
    .object({
      roi_predictions: z.object({ rois }).nullish(),
      text_predictions: z.array(z.string()).max(1).nullish(),
    })
    .nullish(),
});

type Answer = z.infer<typeof answerSchema>;
type ManyClasses = NonNullable<Answer["multi_predictions"]>;

/** The answer without who gave it. */
export type ReadInference = Omit<LocalAnswer, "model" | "computeMs">;

/** Reads the answer about one picture. The likeliest class counts. */
export function readInference(
  detector: Detector,
  labels: LabelMapping,
  value: unknown,
): ReadInference | Failure {
  const read = answerSchema.safeParse(value);
  if (!read.success)
    return unreadable(`${read.error.issues[0]?.path.join(".")}: ${read.error.issues[0]?.message}`);
  const { predictions, multi_predictions: many, secondary_predictions: second } = read.data;
  const text = second?.text_predictions?.[0] ?? null;
  const found = second?.roi_predictions?.rois?.[0] ?? many?.rois?.[0];
  const boxes = found === undefined ? null : found.map(toRoi);
  const shares = sharesOf(read.data);
  if (
    shares === undefined ||
    ((predictions ?? undefined) === undefined) === ((many ?? undefined) === undefined)
  )
    return unreadable("it has neither or both of predictions and multi_predictions");
  const index = shares.indexOf(Math.max(...shares));
  const finding = findingOf(
    detector,
    meaningOf(detector, labels, { index, modelLabels: textLabels(detector, text, index) }),
  );
  if (isFailure(finding)) return finding;
  const sure =
    detector.mode === "BOUNDING_BOX" && many ? boxConfidence(many, boxes ?? []) : (shares[index] ?? 0);
  const confidence = Math.min(1, sure);
  return {
    finding,
    confidence,
    rawConfidence: confidence,
    outOfDomain: undefined,
    probabilities: shares,
    rois: boxes,
    text,
  };
}

/** How unlike the picture is to what the primary knows: class 1 of a binary answer. */
export function readForeignness(value: unknown): number | Failure {
  const read = answerSchema.safeParse(value);
  const { predictions } = read.data ?? {};
  const [confidence] = predictions?.confidences ?? predictions?.probabilities ?? [];
  if (predictions === undefined || predictions === null || confidence === undefined)
    return unreadable("it is no binary answer");
  return Math.min(1, predictions.labels[0] === 1 ? confidence : 1 - confidence);
}

/** A binary answer says how likely its label is. */
function sharesOf({ predictions, multi_predictions: many }: Answer): readonly number[] | undefined {
  if (many) return many.probabilities[0];
  if (!predictions) return undefined;
  const [chosen] = predictions.labels;
  const likely = predictions.confidences?.[0] ?? predictions.probabilities[0] ?? 0;
  return chosen === 1 ? [1 - likely, likely] : [likely, 1 - likely];
}

/** The text of a TEXT detector stands for the class that was found. */
function textLabels({ mode }: Detector, text: string | null, index: number): string[] {
  if (mode !== "TEXT" || text === null) return [];
  const labels: string[] = [];
  labels[index] = text;
  return labels;
}

/** As sure as of the least sure box, less what the best box that was dropped says. */
function boxConfidence({ max_dropped_roi_scores: dropped }: ManyClasses, boxes: readonly Roi[]): number {
  const least = boxes.length === 0 ? 0 : Math.min(...boxes.map(({ score }) => score));
  return Math.max(0, least) * (1 - (dropped?.[0] ?? 0));
}

function toRoi({ label: name, score, geometry: { left, top, right, bottom } }: z.infer<typeof roi>): Roi {
  return { label: name, score, geometry: { left, top, right, bottom } };
}

function unreadable(why: string): Failure {
  return failure("bad_upstream_answer", `The inference server's answer cannot be read: ${why}`);
}
