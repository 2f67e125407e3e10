/** Flows take turns, one request each. */
import * as z from "zod";
import type { FairnessPolicy, Flow } from "../../contracts/plugins/flow.ts";
import { definePlugin } from "../define-plugin.ts";
import { FlowRing, placeOf } from "./flow-ring.ts";

/** The policy. */
export class RoundRobin implements FairnessPolicy {
  readonly #ring = new FlowRing();

  next(): Flow | undefined {
    const start = this.#ring.turn;
    let place = start;
    while (place !== undefined) {
      if (place.flow.head() !== undefined) return place.flow;
      place = place.next === start ? undefined : place.next;
    }
    return undefined;
  }

  joined(flow: Flow): void {
    this.#ring.add(flow);
  }

  left(flow: Flow): void {
    this.#ring.remove(flow);
  }

  dispatched(flow: Flow): void {
    this.#ring.turn = placeOf(flow)?.next ?? this.#ring.turn;
  }
}

/** `round-robin-fairness-policy` */
export const roundRobinFairnessPolicy = definePlugin({
  type: "round-robin-fairness-policy",
  kinds: ["fairness"],
  summary: "Flows of a band take turns, one request each, however large their requests are.",
  parameters: z.strictObject({}),
  create: () => new RoundRobin(),
});
