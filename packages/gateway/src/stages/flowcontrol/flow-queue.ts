/** What waits of one flow. */
import type { LineCost } from "../../contracts/line.ts";
import type { Flow } from "../../contracts/plugins/flow.ts";
import type { Payload } from "../../core/request.ts";
import { goesBefore, RankHeap, type Ranked } from "./rank-heap.ts";
import type { ShapeKey } from "./shape-key.ts";
import type { WaitingRequest } from "./waiting-request.ts";

/** A request in its lane. */
export type Waiting<P extends Payload, B extends LineCost> = WaitingRequest<P, B, Lane<P, B>>;

/**
 * So many requests of a lane are looked through for one that suits better than the first. With eight servers one of 64 is
 * for whichever has room nearly always (docs/decisions/0012).
 */
export const lookAhead = 64;

/** How many may go before a request that came later than it, where requests go first come first served. */
export const maxOvertaken = 128;

/**
 * The requests of one flow that have one shape key: one model, or tensors that fit one call. It goes where its first
 * request goes: it has that one's rank and sequence number.
 */
export class Lane<P extends Payload, B extends LineCost> implements Ranked {
  readonly flow: FlowQueue<P, B>;
  readonly key: ShapeKey;
  rank = 0;
  sequence = 0;
  heapIndex = -1;
  /** The ends of the list of requests, where they go first come first served. */
  #first: Waiting<P, B> | undefined;
  #last: Waiting<P, B> | undefined;
  /** Undefined: first come first served. */
  readonly #ranked: RankHeap<Waiting<P, B>> | undefined;

  constructor(flow: FlowQueue<P, B>, key: ShapeKey) {
    this.flow = flow;
    this.key = key;
    if (flow.isRanked) this.#ranked = new RankHeap();
  }

  get head(): Waiting<P, B> | undefined {
    return this.#ranked === undefined ? this.#first : this.#ranked.first;
  }

  /** One that would go late. */
  get tail(): Waiting<P, B> | undefined {
    return this.#ranked === undefined ? this.#last : this.#ranked.last;
  }

  /** In no order that means anything. None may leave meanwhile. */
  each(visit: (waiter: Waiting<P, B>) => void): void {
    for (let next = this.#first; next !== undefined; next = next.next) visit(next);
    for (const waiter of this.#ranked?.entries ?? []) visit(waiter);
  }

  /** True where the first is another now. */
  add(waiter: Waiting<P, B>): boolean {
    waiter.lane = this;
    if (this.#ranked !== undefined) {
      this.#ranked.add(waiter);
      return this.#follow();
    }
    const last = this.#last;
    this.#last = waiter;
    if (last === undefined) {
      this.#first = waiter;
      return this.#follow();
    }
    last.next = waiter;
    waiter.previous = last;
    return false;
  }

  /** True where the first is another now. */
  remove(waiter: Waiting<P, B>): boolean {
    if (this.#ranked !== undefined) this.#ranked.remove(waiter);
    else this.#unlink(waiter);
    return this.#follow();
  }

  /** The first of the next few that suits; the first of all where none does. */
  suited(suits: (waiter: Waiting<P, B>) => boolean): Waiting<P, B> | undefined {
    let seen = 0;
    for (let next = this.#first; next !== undefined && seen < lookAhead; next = next.next) {
      if (suits(next)) return next;
      // Nobody overtakes it any more.
      if (next.overtaken >= maxOvertaken) break;
      seen++;
    }
    return this.head;
  }

  /** The request goes: those that have waited longer are overtaken. */
  countOvertaken({ previous }: Waiting<P, B>): void {
    for (let elder = previous; elder !== undefined; elder = elder.previous) elder.overtaken++;
  }

  #unlink(waiter: Waiting<P, B>): void {
    const { previous, next } = waiter;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    waiter.previous = undefined;
    waiter.next = undefined;
  }

  #follow(): boolean {
    const first = this.head;
    if (first === undefined || first.sequence === this.sequence) return false;
    this.rank = first.rank;
    this.sequence = first.sequence;
    return true;
  }
}

/** Lanes that are looked through one by one. */
const fewLanes = 16;

/** A flow: lanes by shape key, so that a model whose servers are full holds up no other. */
export class FlowQueue<P extends Payload, B extends LineCost> implements Flow {
  readonly fairnessId: string;
  readonly priority: number;
  readonly slot: number;
  /** Its band has to look at its head again: see `HeadTimes`. */
  isStale = false;
  /** False: first come first served. */
  readonly isRanked: boolean;
  state: unknown = undefined;
  length = 0;
  readonly #lanes = new RankHeap<Lane<P, B>>();
  /** The lane that was used last, kept while it is empty. */
  #recent: Lane<P, B> | undefined;
  /** All lanes that are not empty, while they are many. */
  #byKey: Map<ShapeKey, Lane<P, B>> | undefined;

  constructor(
    fairnessId: string,
    slot: number,
    { priority, isRanked }: Pick<FlowQueue<P, B>, "priority" | "isRanked">,
  ) {
    this.fairnessId = fairnessId;
    this.slot = slot;
    this.priority = priority;
    this.isRanked = isRanked;
  }

  /** In no order beyond the first. */
  get lanes(): readonly Lane<P, B>[] {
    return this.#lanes.entries;
  }

  head(): Waiting<P, B> | undefined {
    const first = this.#lanes.first;
    if (first === undefined || first.key.isOpen) return first?.head;
    let best: Lane<P, B> | undefined;
    for (const lane of this.#lanes.entries) {
      if (lane.key.isOpen && (best === undefined || goesBefore(lane, best))) best = lane;
    }
    return best?.head;
  }

  add(waiter: Waiting<P, B>, key: ShapeKey): void {
    const lane = this.#laneOf(key);
    this.length++;
    const moved = lane.add(waiter);
    if (lane.heapIndex < 0) this.#open(lane);
    else if (moved) this.#lanes.moved(lane);
  }

  remove(waiter: Waiting<P, B>, lane: Lane<P, B>): void {
    this.length--;
    const moved = lane.remove(waiter);
    if (lane.head === undefined) this.#close(lane);
    else if (moved) this.#lanes.moved(lane);
  }

  #laneOf(key: ShapeKey): Lane<P, B> {
    if (this.#recent?.key === key) return this.#recent;
    const known = this.#find(key);
    const lane = known ?? new Lane<P, B>(this, key);
    this.#recent = lane;
    return lane;
  }

  #find(key: ShapeKey): Lane<P, B> | undefined {
    if (this.#byKey !== undefined) return this.#byKey.get(key);
    return this.#lanes.entries.find((each) => each.key === key);
  }

  #open(lane: Lane<P, B>): void {
    this.#lanes.add(lane);
    if (this.#byKey !== undefined) this.#byKey.set(lane.key, lane);
    else if (this.#lanes.size > fewLanes) {
      this.#byKey = new Map(this.#lanes.entries.map((each) => [each.key, each]));
    }
  }

  #close(lane: Lane<P, B>): void {
    this.#lanes.remove(lane);
    this.#byKey?.delete(lane.key);
    if (this.#lanes.size === 0) this.#byKey = undefined;
  }
}
