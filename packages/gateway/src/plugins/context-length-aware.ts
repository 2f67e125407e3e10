/** Servers that are meant for prompts of some lengths. */
import { z } from "zod";
import { tokenCountKey, type TokenCount } from "../contracts/plugins/data-keys.ts";
import type { Candidates, Filter, ScheduledRequest, Scorer } from "../contracts/plugins/scheduling.ts";
import { definePlugin } from "./define-plugin.ts";
import { keepWhere } from "./keep-where.ts";
import { valueOf } from "./label-selector.ts";
import { dataAt } from "./request-data.ts";

/** Lengths of prompts, both ends included, tokens. */
interface LengthRange {
  readonly min: number;
  readonly max: number;
}

/** Texts of labels whose ranges are kept. */
const maxKnown = 1_024;

/** Ranges by the text of the label: `0-2048,8192-16384`. */
class RangeTexts {
  readonly #known = new Map<string, readonly LengthRange[] | undefined>();

  /** Undefined for a text that says no ranges: as if there were no label. */
  of(text: string): readonly LengthRange[] | undefined {
    const known = this.#known.get(text);
    if (known !== undefined || this.#known.has(text)) return known;
    const ranges = parse(text);
    if (this.#known.size < maxKnown) this.#known.set(text, ranges);
    return ranges;
  }
}

function parse(text: string): readonly LengthRange[] | undefined {
  const ranges: LengthRange[] = [];
  for (const part of text.split(",")) {
    const [, min, max] = /^\s*(\d+)\s*-\s*(\d+)\s*$/.exec(part) ?? [];
    const range = { min: Number(min), max: Number(max) };
    if (!(range.min <= range.max)) return undefined;
    ranges.push(range);
  }
  return ranges;
}

/** Score of the best of the ranges: from 0.3 up within, below 0.3 outside. */
function scoreOf(ranges: readonly LengthRange[], length: number): number {
  let best = 0;
  for (const { min, max } of ranges) {
    const width = max - min;
    let score: number;
    if (length < min) score = 0.3 / (1 + (min - length) / 1_000);
    else if (length > max) score = 0.3 / (1 + (length - max) / 1_000);
    else {
      const headroom = width === 0 ? 1 : (max - length) / width;
      score = 0.3 + 0.7 * (0.7 / (1 + width / 10_000) + 0.3 * headroom);
    }
    if (score > best) best = score;
  }
  return best;
}

const parameters = z.lazy(() =>
  z.strictObject({
    label: z
      .string()
      .min(1)
      .default("llm-d.ai/context-length-range")
      .describe("Label with the ranges: `min-max[,min-max…]`, tokens"),
    enableFiltering: z
      .boolean()
      .default(false)
      .describe("Whether endpoints whose ranges do not have the prompt's length are left out"),
  }),
);

class ContextLengthAware implements Filter, Scorer {
  readonly #label: string;
  readonly #isFilter: boolean;
  readonly #tokensAt: number;
  readonly #texts = new RangeTexts();

  constructor({ label, enableFiltering }: z.infer<typeof parameters>, tokensAt: number) {
    this.#label = label;
    this.#isFilter = enableFiltering;
    this.#tokensAt = tokensAt;
  }

  filter(candidates: Candidates, request: ScheduledRequest): void {
    if (!this.#isFilter) return;
    const length = this.#lengthOf(request);
    keepWhere(candidates, ({ labels }) => {
      const ranges = this.#rangesOf(labels);
      return ranges === undefined || ranges.some(({ min, max }) => length >= min && length <= max);
    });
  }

  score({ endpoints, positions, count }: Candidates, request: ScheduledRequest, scores: Float64Array): void {
    const length = this.#lengthOf(request);
    for (let i = 0; i < count; i++) {
      const ranges = this.#rangesOf(endpoints[positions[i] ?? 0]?.labels ?? {});
      scores[i] = ranges === undefined ? 0.5 : scoreOf(ranges, length);
    }
  }

  #lengthOf(request: ScheduledRequest): number {
    return dataAt<TokenCount>(request, this.#tokensAt)?.promptTokens ?? request.promptTokens;
  }

  #rangesOf(labels: Readonly<Record<string, string>>): readonly LengthRange[] | undefined {
    const text = valueOf(labels, this.#label);
    return text === undefined ? undefined : this.#texts.of(text);
  }
}

/** `context-length-aware`. */
export const contextLengthAware = definePlugin({
  type: "context-length-aware",
  kinds: ["filter", "scorer"],
  summary:
    "Prefers endpoints whose label says that they are meant for prompts of this length; narrow ranges first",
  parameters,
  needs: { reads: [tokenCountKey] },
  create: (options, host): Filter & Scorer => new ContextLengthAware(options, host.dataIndex(tokenCountKey)),
});
