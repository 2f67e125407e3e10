/** Boxes that a model found, as a count or as what a BOUNDING_BOX detector answers. */
import type { Detector, Finding, Roi } from "../../core/detector.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { TensorAnswer } from "../../core/request.ts";
import type { Tensor } from "../../core/tensor.ts";
import { shortFloat } from "../../dialects/tensors/float-text.ts";
import { roundedNumbers, type NumberArray } from "../../dialects/tensors/numbers.ts";

/** What the boxes say. */
export interface BoxesFound {
  readonly finding: Finding;
  readonly confidence: number;
  /** The best first. */
  readonly rois: readonly Roi[];
}

/** A box of the model. */
interface Candidate {
  readonly roi: Roi;
  readonly score: number;
}

/** Below it a box does not count, where the model's `thresholds.confidence` does not say. */
const usualThreshold = 0.5;

/** More boxes are not told. */
const maxRois = 100;

/** True for a model whose outputs are boxes. */
export function givesBoxes({ model }: TensorAnswer): boolean {
  return model.task?.kind === "detect" && model.task.outputs["boxes"] !== undefined;
}

/**
 * Of the outputs `boxes` (left, top, right, bottom in shares of the picture, 0 to 1), `scores` and, where there are several
 * kinds, `classes`; one picture. The confidence is that of the weakest box that counts, times how unlikely the best one is
 * that does not (edge-endpoint 0.7.1); without boxes only the latter.
 */
export function readBoxes(detector: Detector, answer: TensorAnswer): BoxesFound | Failure {
  const candidates = readCandidates(detector, answer);
  if (!Array.isArray(candidates)) return candidates;
  const threshold = answer.model.task?.thresholds["confidence"] ?? usualThreshold;
  const sorted = candidates.toSorted((a, b) => b.score - a.score);
  const found = sorted.filter(({ score }) => score >= threshold);
  const weakest = found.at(-1)?.score ?? 1;
  const dropped = sorted[found.length]?.score ?? 0;
  return {
    finding: findingOf(detector, found.length),
    confidence: Math.min(1, Math.max(0, weakest * (1 - dropped))),
    rois: found.slice(0, maxRois).map(({ roi }) => roi),
  };
}

function findingOf({ mode, modeConfiguration }: Detector, count: number): Finding {
  if (mode === "COUNT") {
    const { maxCount = Infinity } = modeConfiguration;
    return { mode, count: Math.min(count, maxCount), greaterThanMax: count > maxCount };
  }
  const { maxNumBboxes = Infinity } = modeConfiguration;
  const label = count === 0 ? "NO_OBJECTS" : count > maxNumBboxes ? "GREATER_THAN_MAX" : "BOUNDING_BOX";
  return { mode: "BOUNDING_BOX", label };
}

function readCandidates(
  { modeConfiguration }: Detector,
  { model, outputs }: TensorAnswer,
): Candidate[] | Failure {
  const role = (name: string): NumberArray | undefined => {
    const output: Tensor | undefined = outputs.find((each) => each.name === model.task?.outputs[name]);
    return output && roundedNumbers(output);
  };
  const boxes = role("boxes");
  const scores = role("scores");
  const classes = role("classes");
  if (boxes === undefined || scores === undefined || boxes.length !== scores.length * 4)
    return failure(
      "bad_upstream_answer",
      `Model ${JSON.stringify(model.name)} does not answer four numbers of "boxes" for each of its "scores"`,
    );
  return Array.from(scores, (score, index) => {
    const sides = Array.from(boxes.subarray(index * 4, index * 4 + 4), shortFloat);
    const [left = 0, top = 0, right = 0, bottom = 0] = sides;
    const named = classes === undefined ? undefined : model.task?.labels[classes[index] ?? -1];
    const label = named ?? modeConfiguration.className ?? "object";
    return { score, roi: { label, score: shortFloat(score), geometry: { left, top, right, bottom } } };
  });
}
