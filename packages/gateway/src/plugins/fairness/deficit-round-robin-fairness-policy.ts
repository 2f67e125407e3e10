/**
 * Deficit round robin (Shreedhar and Varghese, 1995) over predicted tokens: flows take turns, and each turn is worth as
 * many tokens, so that a flow of large requests gets no more of the servers than one of small ones.
 */
import * as z from "zod";
import type { FairnessPolicy, Flow, SettledWork, WaitingItem } from "../../contracts/plugins/flow.ts";
import { definePlugin } from "../define-plugin.ts";
import { FlowRing, placeOf, type RingPlace } from "./flow-ring.ts";

/** What the policy can be told. */
export interface DeficitRoundRobinOptions {
  /** Tokens that a turn is worth. */
  readonly quantum: number;
  /** Flows, by fairness id, that get a multiple of it; others get it once. */
  readonly weights: Readonly<Record<string, number>>;
}

/** The policy. Predictions that were wrong are made good while the flow still waits. */
export class DeficitRoundRobin implements FairnessPolicy {
  readonly #ring = new FlowRing();
  readonly #quantum: number;
  readonly #weights: ReadonlyMap<string, number>;

  constructor({ quantum, weights }: DeficitRoundRobinOptions) {
    this.#quantum = quantum;
    this.#weights = new Map(Object.entries(weights));
  }

  next(): Flow | undefined {
    const { turn } = this.#ring;
    if (turn === undefined) return undefined;
    if (lacks(turn) <= 0) return turn.flow;
    const found = this.#goRound(turn);
    if (found !== undefined) return found.flow;
    // Everybody who may go lacks more than a turn: as many turns as the first of them needs, all at once.
    const rounds = this.#roundsNeeded(turn);
    if (rounds === Infinity) return undefined;
    if (rounds > 1) this.#addTurns(turn, rounds - 1);
    return this.#goRound(turn)?.flow;
  }

  joined(flow: Flow): void {
    this.#ring.add(flow);
  }

  left(flow: Flow): void {
    this.#ring.remove(flow);
  }

  dispatched(flow: Flow, item: WaitingItem): void {
    const place = placeOf(flow);
    if (place !== undefined) place.deficit -= item.predictedTokens;
  }

  settled(used: SettledWork, flow: Flow | undefined): void {
    const place = flow === undefined || !used.waited ? undefined : placeOf(flow);
    if (place === undefined) return;
    place.deficit += used.predictedTokens - used.promptTokens - used.completionTokens;
  }

  /** Gives each flow that may go its turn until one can pay for its request. */
  #goRound(start: RingPlace): RingPlace | undefined {
    let place = start;
    do {
      place = place.next;
      const lacking = lacks(place);
      if (lacking === Infinity) continue;
      const turn = this.#turnOf(place);
      place.deficit += turn;
      if (lacking <= turn) {
        this.#ring.turn = place;
        return place;
      }
    } while (place !== start);
    return undefined;
  }

  #roundsNeeded(start: RingPlace): number {
    let least = Infinity;
    let place = start;
    do {
      place = place.next;
      least = Math.min(least, lacks(place) / this.#turnOf(place));
    } while (place !== start);
    return Math.ceil(least);
  }

  #addTurns(start: RingPlace, turns: number): void {
    let place = start;
    do {
      place = place.next;
      if (place.flow.head() !== undefined) place.deficit += turns * this.#turnOf(place);
    } while (place !== start);
  }

  #turnOf({ flow }: RingPlace): number {
    return this.#quantum * (this.#weights.get(flow.fairnessId) ?? 1);
  }
}

/** Tokens that a flow has to be given before its first request may go; `Infinity`: none may go now. */
function lacks({ flow, deficit }: RingPlace): number {
  const head = flow.head();
  return head === undefined ? Infinity : head.predictedTokens - deficit;
}

/** `deficit-round-robin-fairness-policy` */
export const deficitRoundRobinFairnessPolicy = definePlugin({
  type: "deficit-round-robin-fairness-policy",
  kinds: ["fairness"],
  summary:
    "Flows of a band get equal shares of tokens: prompt and expected answer, made good by what was really used.",
  parameters: z.lazy(() =>
    z.strictObject({
      quantum: z.number().int().min(1).max(1_000_000).default(256),
      weights: z.record(z.string().min(1), z.number().min(0.01).max(100)).default({}),
    }),
  ),
  needs: { body: true },
  create: (options) => new DeficitRoundRobin(options),
});
