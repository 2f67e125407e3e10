/** Spreads prompts that no server has in its cache: the server that got such a one longest ago goes first. */
import { z } from "zod";
import { prefixMatchKey } from "../../contracts/plugins/data-keys.ts";
import type {
  Candidates,
  PrefixMatch,
  RequestObserver,
  SchedulableEndpoint,
  ScheduledRequest,
  Scorer,
} from "../../contracts/plugins/scheduling.ts";
import { definePlugin } from "../define-plugin.ts";
import { dataAt } from "../request-data.ts";

const none = -1;

/** Endpoints by slot in the order of their last use, as a doubly linked list. */
class UseOrder {
  #next: number[] = [];
  #previous: number[] = [];
  #isIn: boolean[] = [];
  /** Used longest ago. */
  first = none;
  #last = none;
  #size = 0;

  nextOf(slot: number): number {
    return this.#next[slot] ?? none;
  }

  has(slot: number): boolean {
    return this.#isIn[slot] === true;
  }

  /** Makes it the one used last; the one used longest ago falls out where there are more than `max`. */
  use(slot: number, max: number): void {
    this.remove(slot);
    this.#isIn[slot] = true;
    this.#previous[slot] = this.#last;
    this.#next[slot] = none;
    if (this.#last === none) this.first = slot;
    else this.#next[this.#last] = slot;
    this.#last = slot;
    if (++this.#size > max) this.remove(this.first);
  }

  remove(slot: number): void {
    if (!this.has(slot)) return;
    const previous = this.#previous[slot] ?? none;
    const next = this.#next[slot] ?? none;
    if (previous === none) this.first = next;
    else this.#next[previous] = next;
    if (next === none) this.#last = previous;
    else this.#previous[next] = previous;
    this.#isIn[slot] = false;
    this.#size--;
  }
}

class NoHitLruScorer implements Scorer, RequestObserver {
  readonly #index: number;
  readonly #max: number;
  readonly #order = new UseOrder();
  /** Place of each slot in `scores`, of the cycle that runs. */
  #places = new Int32Array(16);

  constructor(index: number, max: number) {
    this.#index = index;
    this.#max = max;
  }

  score(candidates: Candidates, request: ScheduledRequest, scores: Float64Array): void {
    const { endpoints, positions, count } = candidates;
    if (this.#isHit(candidates, request)) return void scores.fill(0.5, 0, count);
    if (count === 1) return void (scores[0] = 1);
    const order = this.#order;
    let rank = 0;
    for (let i = 0; i < count; i++) {
      const slot = endpoints[positions[i] ?? 0]?.slot ?? 0;
      if (order.has(slot)) this.#place(slot, i);
      else scores[i] = 1 - rank++ / (count - 1);
    }
    if (rank === count) return;
    for (let slot = order.first; slot !== none; slot = order.nextOf(slot)) {
      const place = this.#places[slot] ?? 0;
      if (place === 0) continue;
      this.#places[slot] = 0;
      scores[place - 1] = 1 - rank++ / (count - 1);
    }
  }

  dispatched(request: ScheduledRequest, { slot }: SchedulableEndpoint): void {
    const match = dataAt<PrefixMatch>(request, this.#index);
    if (match === undefined || match.longest === 0) this.#order.use(slot, this.#max);
  }

  forgotten({ slot }: SchedulableEndpoint): void {
    this.#order.remove(slot);
  }

  #isHit({ positions, count }: Candidates, request: ScheduledRequest): boolean {
    const match = dataAt<PrefixMatch>(request, this.#index);
    if (match === undefined || match.longest === 0) return false;
    for (let i = 0; i < count; i++) if ((match.matched[positions[i] ?? 0] ?? 0) > 0) return true;
    return false;
  }

  #place(slot: number, i: number): void {
    if (slot >= this.#places.length) {
      const larger = new Int32Array(2 * slot + 2);
      larger.set(this.#places);
      this.#places = larger;
    }
    this.#places[slot] = i + 1;
  }
}

/** `no-hit-lru-scorer`: any hit among the candidates: 0.5 for all; else never used first, then used longest ago: `1 − rank / (n − 1)`. */
export const noHitLruScorer = definePlugin({
  type: "no-hit-lru-scorer",
  kinds: ["scorer"],
  summary:
    "For prompts that no server has in its cache, prefers the server that got such a prompt longest ago; says nothing of others",
  parameters: z.lazy(() =>
    z.strictObject({
      lruSize: z.int().min(1).default(1_024).describe("Servers whose last use is kept"),
      prefixMatchInfoProducerName: z
        .string()
        .optional()
        .describe("Name of the producer, where there are several"),
    }),
  ),
  needs: { reads: [prefixMatchKey] },
  create({ lruSize, prefixMatchInfoProducerName }, host): Scorer & RequestObserver {
    return new NoHitLruScorer(host.dataIndex(prefixMatchKey, prefixMatchInfoProducerName), lruSize);
  },
});
