/** When the heads of a band's flows joined, as numbers side by side: what policies read that compare all flows. */
import type { Flow } from "../../contracts/plugins/flow.ts";

/** A flow whose head may have changed since it was looked at. */
export interface HeadedFlow extends Flow {
  isStale: boolean;
}

/** Slots of the flows of one band, and the times by slot. */
export class HeadTimes {
  readonly #free: number[] = [];
  /** Slots that were ever given out. */
  #slots = 0;
  #times = new Float64Array(0);
  /** Flows to look at again. */
  readonly #stale: HeadedFlow[] = [];
  /** They were too many to be kept: all are. */
  #areAllStale = false;

  /** A slot for a flow that begins to wait. */
  takeSlot(): number {
    return this.#free.pop() ?? this.#slots++;
  }

  /** The flow waits no more; its slot may be used again. */
  release({ slot }: Flow): void {
    if (slot < this.#times.length) this.#times[slot] = NaN;
    this.#free.push(slot);
    if (this.#free.length < this.#slots) return;
    this.#free.length = 0;
    this.#slots = 0;
  }

  /** The head of the flow may be another now. Costs nothing until somebody has read the times. */
  changed(flow: HeadedFlow): void {
    if (flow.isStale || this.#areAllStale || this.#times.length === 0) return;
    flow.isStale = true;
    this.#stale.push(flow);
    // Flows that have left are among them: where nobody reads there would be ever more.
    if (this.#stale.length > this.#times.length) this.#areAllStale = true;
  }

  /** The times; `all` flows are looked at again where the heads of any may be others. */
  read(all: readonly HeadedFlow[], isAnother: boolean): Float64Array {
    const isLarger = this.#times.length < this.#slots;
    if (isLarger) this.#times = new Float64Array(2 * this.#slots).fill(NaN);
    for (const flow of isLarger || isAnother || this.#areAllStale ? all : this.#stale) this.#look(flow);
    for (const flow of this.#stale) flow.isStale = false;
    this.#stale.length = 0;
    this.#areAllStale = false;
    return this.#times;
  }

  #look(flow: HeadedFlow): void {
    // One that has left meanwhile has given its slot away.
    if (flow.length > 0) this.#times[flow.slot] = flow.head()?.enqueuedAt ?? NaN;
  }
}
