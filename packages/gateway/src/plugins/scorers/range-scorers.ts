/** Scorers that compare one number of each server with those of the others. */
import { z } from "zod";
import type { SignalName } from "../../contracts/plugins/plugin.ts";
import type {
  Candidates,
  SchedulableEndpoint,
  ScheduledRequest,
  Scorer,
} from "../../contracts/plugins/scheduling.ts";
import { definePlugin } from "../define-plugin.ts";

/** `(max − x) / (max − min)`; all equal: 1. A server that does not tell is the worst, unless none tells. */
class RangeScorer implements Scorer {
  readonly #read: (endpoint: SchedulableEndpoint) => number;

  constructor(read: (endpoint: SchedulableEndpoint) => number) {
    this.#read = read;
  }

  score({ endpoints, positions, count }: Candidates, _request: ScheduledRequest, scores: Float64Array): void {
    let min = Infinity;
    let max = -Infinity;
    for (let i = 0; i < count; i++) {
      const endpoint = endpoints[positions[i] ?? 0];
      const value = endpoint === undefined ? Number.NaN : this.#read(endpoint);
      scores[i] = value;
      if (value < min) min = value;
      if (value > max) max = value;
    }
    if (max === -Infinity) {
      scores.fill(1, 0, count);
      return;
    }
    const range = max - min;
    for (let i = 0; i < count; i++) {
      const value = scores[i] ?? Number.NaN;
      if (Number.isNaN(value)) scores[i] = 0;
      else scores[i] = range > 0 ? (max - value) / range : 1;
    }
  }
}

interface RangeScorerWords {
  readonly type: string;
  readonly summary: string;
  readonly signal: SignalName;
  readonly read: (endpoint: SchedulableEndpoint) => number;
}

function rangeScorer({ type, summary, signal, read }: RangeScorerWords) {
  return definePlugin({
    type,
    kinds: ["scorer"],
    summary,
    parameters: z.strictObject({}),
    needs: { signals: [signal] },
    create: (): Scorer => new RangeScorer(read),
  });
}

/** `queue-scorer`. */
export const queueScorer = rangeScorer({
  type: "queue-scorer",
  summary: "Prefers servers in which fewer requests wait",
  signal: "waiting",
  read: ({ signals }) => signals.waiting,
});

/** `running-requests-size-scorer`. */
export const runningRequestsSizeScorer = rangeScorer({
  type: "running-requests-size-scorer",
  summary: "Prefers servers that compute fewer requests",
  signal: "running",
  read: ({ signals }) => signals.running,
});
