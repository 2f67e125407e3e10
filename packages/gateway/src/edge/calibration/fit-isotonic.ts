/** The rising curve nearest to what was seen. */
import { total } from "./bins.ts";
import type { Bins } from "./bins.ts";
import { MAX_KNOTS } from "./calibration-model.ts";
import type { CalibrationModel } from "./calibration-model.ts";

interface Block {
  /** Sum of weight × confidence. */
  at: number;
  weight: number;
  agreed: number;
}

/**
 * Isotonic regression by pooling adjacent violators (Ayer et al., "An Empirical Distribution Function for Sampling With
 * Incomplete Information", Annals of Mathematical Statistics 26, 1955), with weights. A knot lies at the mean confidence of each
 * block. Values stay 1/(n+2) away from 0 and 1, n being the effective number of pairs: no count says never or always.
 */
export function fitIsotonic(bins: Bins): CalibrationModel {
  const blocks = pool(bins);
  while (blocks.length > MAX_KNOTS) joinNearest(blocks);
  const nearest = 1 / (total(bins.weight) + 2);
  return {
    kind: "isotonic",
    confidences: blocks.map(({ at, weight }) => at / weight),
    values: blocks.map((block) => Math.min(Math.max(shareOf(block), nearest), 1 - nearest)),
  };
}

function pool({ confidence, weight, agreed }: Bins): Block[] {
  const blocks: Block[] = [];
  weight.forEach((sum, bin) => {
    if (sum <= 0) return;
    let block: Block = { at: sum * (confidence[bin] ?? 0), weight: sum, agreed: agreed[bin] ?? 0 };
    for (
      let last = blocks.at(-1);
      last !== undefined && shareOf(last) >= shareOf(block);
      last = blocks.at(-1)
    ) {
      blocks.pop();
      block = join(last, block);
    }
    blocks.push(block);
  });
  return blocks;
}

/** Joins the two neighbours whose values are nearest. */
function joinNearest(blocks: Block[]): void {
  let best = 0;
  let least = Infinity;
  blocks.forEach((block, place) => {
    const next = blocks[place + 1];
    if (next === undefined) return;
    const gap = shareOf(next) - shareOf(block);
    if (gap >= least) return;
    least = gap;
    best = place;
  });
  const [left, right] = blocks.slice(best, best + 2);
  if (left !== undefined && right !== undefined) blocks.splice(best, 2, join(left, right));
}

function join(left: Block, right: Block): Block {
  return { at: left.at + right.at, weight: left.weight + right.weight, agreed: left.agreed + right.agreed };
}

function shareOf({ agreed, weight }: Block): number {
  return agreed / weight;
}
