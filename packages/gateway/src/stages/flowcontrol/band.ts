/** What waits of one priority. */
import type { LineCost } from "../../contracts/line.ts";
import type { FlowSet, SettledWork } from "../../contracts/plugins/flow.ts";
import { defaultFlow } from "../../core/request-traits.ts";
import type { Payload } from "../../core/request.ts";
import { FlowQueue, type Waiting } from "./flow-queue.ts";
import { HeadTimes } from "./head-times.ts";
import type { BandRules } from "./line-rules.ts";
import { ShapeKey, type Selection } from "./shape-key.ts";

/** A band: its flows, and the policy that says which of them is next. */
export class Band<P extends Payload, B extends LineCost> implements FlowSet {
  readonly priority: number;
  readonly rules: BandRules;
  length = 0;
  bytes = 0;
  tokens = 0;
  /** Requests that have left, whichever way. */
  departures = 0;
  readonly #selection: Selection;
  readonly #keys = new Map<string, ShapeKey>();
  /** The shape key that was used last, kept while nothing has it. */
  #recent: ShapeKey | undefined;
  /** Takes everything where flows are not told apart. */
  readonly #only: FlowQueue<P, B> | undefined;
  /** In the order in which they began to wait. */
  readonly #flows: FlowQueue<P, B>[] = [];
  readonly #byId = new Map<string, FlowQueue<P, B>>();
  readonly #heads = new HeadTimes();

  constructor(priority: number, rules: BandRules, selection: Selection) {
    this.priority = priority;
    this.rules = rules;
    this.#selection = selection;
    const { fairness } = rules;
    if (fairness === undefined || fairness.ignoresFlows === true) {
      this.#only = new FlowQueue(defaultFlow, 0, this);
      this.#flows.push(this.#only);
    }
  }

  /** False: first come first served. */
  get isRanked(): boolean {
    return this.rules.ordering !== undefined;
  }

  get size(): number {
    return this.#flows.length;
  }

  /** The flows that wait; where they are not told apart the one there is. */
  get flows(): readonly FlowQueue<P, B>[] {
    return this.#flows;
  }

  at(index: number): FlowQueue<P, B> {
    const flow = this.#flows[index];
    if (flow === undefined) throw new RangeError(`flow ${index} of ${this.size}`);
    return flow;
  }

  get headTimes(): Float64Array {
    return this.#heads.read(this.#flows, this.#opensOthers());
  }

  /** The request that goes next of those that may; undefined where none may. `suits`: as in `TakeLimit`. */
  next(now: number, suits?: (waiter: Waiting<P, B>) => boolean): Waiting<P, B> | undefined {
    const first = this.#first(now);
    return suits === undefined ? first : first?.lane?.suited(suits);
  }

  #first(now: number): Waiting<P, B> | undefined {
    if (this.length === 0) return undefined;
    if (this.#only !== undefined) return this.#only.head();
    if (!this.#anyOpen()) return undefined;
    const chosen = this.rules.fairness?.next(this, now);
    const flow = chosen === undefined ? undefined : this.#byId.get(chosen.fairnessId);
    return flow?.head() ?? this.#anyHead();
  }

  add(waiter: Waiting<P, B>): void {
    const key = this.#keyOf(waiter.bound.shapeKey);
    key.waiting++;
    this.length++;
    this.bytes += waiter.bytes;
    this.tokens += waiter.predictedTokens;
    if (this.rules.ordering !== undefined) waiter.rank = rankOf(this.rules.ordering.rank(waiter));
    if (this.#only !== undefined) return this.#only.add(waiter, key);
    const flow = this.#flowOf(waiter.traits.fairnessId);
    flow.add(waiter, key);
    this.#heads.changed(flow);
    if (flow.length === 1) this.rules.fairness?.joined?.(flow);
  }

  /** `chosen`: it gets its place. */
  remove(waiter: Waiting<P, B>, now: number, why: "chosen" | "leaves"): void {
    const { lane } = waiter;
    if (lane === undefined) throw new TypeError("a request that is not in line");
    const { flow, key } = lane;
    if (why === "chosen") lane.countOvertaken(waiter);
    if (why === "chosen" && this.#only === undefined) this.rules.fairness?.dispatched?.(flow, waiter, now);
    flow.remove(waiter, lane);
    waiter.lane = undefined;
    this.length--;
    this.departures++;
    this.bytes -= waiter.bytes;
    this.tokens -= waiter.predictedTokens;
    if (--key.waiting === 0 && key !== this.#recent) this.#keys.delete(key.text);
    if (this.#only !== undefined) return;
    if (flow.length === 0) this.#drop(flow);
    else this.#heads.changed(flow);
  }

  /** A request that would go late, for who has to make room. */
  tail(): Waiting<P, B> | undefined {
    return this.#flows.at(-1)?.lanes.at(-1)?.tail;
  }

  settled(used: SettledWork, now: number): void {
    this.rules.fairness?.settled?.(used, this.#byId.get(used.fairnessId), now);
  }

  /** Calls back with how many requests of each shape key wait. */
  eachShape(visit: (shapeKey: string, waiting: number) => void): void {
    for (const { text, waiting } of this.#keys.values()) if (waiting > 0) visit(text, waiting);
  }

  /** Calls back for every request that waits, in no particular order. None may leave meanwhile. */
  each(visit: (waiter: Waiting<P, B>) => void): void {
    for (const flow of this.#flows) {
      for (const lane of flow.lanes) lane.each(visit);
    }
  }

  /** Without this a policy would look through all flows in vain whenever everything is full. */
  #anyOpen(): boolean {
    for (const key of this.#keys.values()) if (key.waiting > 0 && key.isOpen) return true;
    return false;
  }

  /** True where other shape keys may go than at the last look: any flow may have another head then. */
  #opensOthers(): boolean {
    let isAnother = false;
    for (const key of this.#keys.values()) {
      if (key.waiting > 0 && key.isOpen !== key.wasOpen) {
        key.wasOpen = key.isOpen;
        isAnother = true;
      }
    }
    return isAnother;
  }

  /** A policy that names none, or one that may not go, stops nobody. */
  #anyHead(): Waiting<P, B> | undefined {
    for (const flow of this.#flows) {
      const head = flow.head();
      if (head !== undefined) return head;
    }
    return undefined;
  }

  #keyOf(text: string): ShapeKey {
    const recent = this.#recent;
    if (recent?.text === text) return recent;
    if (recent?.waiting === 0) this.#keys.delete(recent.text);
    let key = this.#keys.get(text);
    if (key === undefined) {
      key = new ShapeKey(text, this.priority, this.#selection);
      this.#keys.set(text, key);
    }
    this.#recent = key;
    return key;
  }

  #flowOf(fairnessId: string): FlowQueue<P, B> {
    const known = this.#byId.get(fairnessId);
    if (known !== undefined) return known;
    const flow = new FlowQueue<P, B>(fairnessId, this.#heads.takeSlot(), this);
    this.#byId.set(fairnessId, flow);
    this.#flows.push(flow);
    return flow;
  }

  #drop(flow: FlowQueue<P, B>): void {
    this.#byId.delete(flow.fairnessId);
    this.#flows.splice(this.#flows.indexOf(flow), 1);
    this.#heads.release(flow);
    this.rules.fairness?.left?.(flow);
  }
}

/** What no order can be made of goes last. */
function rankOf(rank: number): number {
  return Number.isNaN(rank) ? Infinity : rank;
}
