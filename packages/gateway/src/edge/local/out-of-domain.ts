/** How sure an answer is when a second model says how unlike the picture is to all that the first one knows. */
import type { DetectorMode, LocalAnswer } from "../../core/detector.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { TensorAnswer } from "../../core/request.ts";
import { classifyRows } from "../../dialects/tensors/classify.ts";

/**
 * The confidence falls to that of a guess as the picture gets more foreign: `p·guess + (1 − p)·confidence`, where a guess is
 * right with 1/classes, for boxes with 0 (edge-endpoint 0.7.1). The finding stays.
 */
export function combineOutOfDomain(
  answer: LocalAnswer,
  mode: DetectorMode,
  oodd: TensorAnswer,
): LocalAnswer | Failure {
  const outOfDomain = foreignness(oodd);
  if (typeof outOfDomain !== "number") return outOfDomain;
  return { ...answer, outOfDomain, confidence: combined(answer, mode, outOfDomain) };
}

/** The confidence of an answer about a picture that is foreign with this probability. */
export function combined(
  { rawConfidence, probabilities }: Pick<LocalAnswer, "rawConfidence" | "probabilities">,
  mode: DetectorMode,
  outOfDomain: number,
): number {
  const classes = mode === "BINARY" ? 2 : (probabilities?.length ?? 2);
  const guess = mode === "BOUNDING_BOX" ? 0 : 1 / classes;
  return outOfDomain * guess + (1 - outOfDomain) * rawConfidence;
}

/** The probability of class 1. */
function foreignness(oodd: TensorAnswer): number | Failure {
  const rows = classifyRows(oodd, 1);
  if (isFailure(rows)) return rows;
  const [row] = rows;
  if (row === undefined) return failure("bad_upstream_answer", "The out-of-domain model answered no row");
  const scores = row.scores ?? [];
  const outlier = scores.length === 1 ? scores[0] : scores[1];
  return outlier ?? (row.classId === 1 ? row.confidence : 1 - row.confidence);
}
