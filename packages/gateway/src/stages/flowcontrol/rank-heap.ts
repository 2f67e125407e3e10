/** A priority queue whose entries know their place, so that any of them can leave it. */

/** What a heap holds. Smaller ranks go first, then smaller sequence numbers. */
export interface Ranked {
  rank: number;
  sequence: number;
  /** Place in the one heap that it is in; -1: in none. Written by the heap. */
  heapIndex: number;
}

/** A binary heap. Appending what goes last costs one comparison, taking out any entry their logarithm. */
export class RankHeap<T extends Ranked> {
  readonly #entries: T[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** The entry that goes first. */
  get first(): T | undefined {
    return this.#entries[0];
  }

  /** One of the entries that go late: a leaf. */
  get last(): T | undefined {
    return this.#entries.at(-1);
  }

  /** All entries, in no order that means anything beyond the first. Not to be kept. */
  get entries(): readonly T[] {
    return this.#entries;
  }

  add(entry: T): void {
    this.#entries.push(entry);
    this.#rise(entry, this.#entries.length - 1);
  }

  /** Takes out an entry that is in. */
  remove(entry: T): void {
    const index = entry.heapIndex;
    const last = this.#entries.pop();
    entry.heapIndex = -1;
    if (last === undefined || last === entry) return;
    this.#settle(last, index);
  }

  /** The rank or the sequence number of an entry that is in has changed. */
  moved(entry: T): void {
    if (this.#entries.length > 1) this.#settle(entry, entry.heapIndex);
  }

  #settle(entry: T, index: number): void {
    const parent = this.#entries[(index - 1) >> 1];
    if (index > 0 && parent !== undefined && goesBefore(entry, parent)) this.#rise(entry, index);
    else this.#sink(entry, index);
  }

  #rise(entry: T, start: number): void {
    const entries = this.#entries;
    let index = start;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = entries[above];
      if (parent === undefined || !goesBefore(entry, parent)) break;
      entries[index] = parent;
      parent.heapIndex = index;
      index = above;
    }
    entries[index] = entry;
    entry.heapIndex = index;
  }

  #sink(entry: T, start: number): void {
    const entries = this.#entries;
    let index = start;
    for (;;) {
      let below = 2 * index + 1;
      let child = entries[below];
      if (child === undefined) break;
      const sibling = entries[below + 1];
      if (sibling !== undefined && goesBefore(sibling, child)) {
        child = sibling;
        below++;
      }
      if (!goesBefore(child, entry)) break;
      entries[index] = child;
      child.heapIndex = index;
      index = below;
    }
    entries[index] = entry;
    entry.heapIndex = index;
  }
}

/** True where `a` goes first. */
export function goesBefore(a: Ranked, b: Ranked): boolean {
  return a.rank < b.rank || (a.rank === b.rank && a.sequence < b.sequence);
}
