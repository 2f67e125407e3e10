/** Flows in a circle, each of which knows its neighbours: what policies that take turns keep. */
import type { Flow } from "../../contracts/plugins/flow.ts";

/** A flow in its circle. `state` of the flow while it waits. */
export class RingPlace {
  readonly flow: Flow;
  next: RingPlace;
  previous: RingPlace;
  /** For policies that count work: what the flow may still have in this turn, in tokens. */
  deficit = 0;

  constructor(flow: Flow) {
    this.flow = flow;
    this.next = this;
    this.previous = this;
  }
}

/** The circle, and whose turn it is. */
export class FlowRing {
  /** Undefined while nothing waits. */
  turn: RingPlace | undefined;

  /** Puts the flow where its turn comes last. */
  add(flow: Flow): void {
    const place = new RingPlace(flow);
    flow.state = place;
    const { turn } = this;
    if (turn === undefined) {
      this.turn = place;
      return;
    }
    place.next = turn;
    place.previous = turn.previous;
    turn.previous.next = place;
    turn.previous = place;
  }

  remove(flow: Flow): void {
    const place = placeOf(flow);
    if (place === undefined) return;
    flow.state = undefined;
    if (this.turn === place) this.turn = place.next === place ? undefined : place.next;
    place.previous.next = place.next;
    place.next.previous = place.previous;
  }
}

/** Undefined for a flow that is in no circle. */
export function placeOf(flow: Flow): RingPlace | undefined {
  return flow.state instanceof RingPlace ? flow.state : undefined;
}
