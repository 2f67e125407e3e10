/**
 * A part of the index: which lanes (servers) have which blocks. Open addressing over typed arrays; most blocks are at one
 * server, whose lane then stands in place, others have a row of bits. Blocks that no server has any more are removed, and
 * their numbers used again.
 */

const free = -1;

/** Blocks by their hash. */
export class BlockSegment {
  /** Number of a block + 1; 0: empty. */
  #table = new Int32Array(64);
  #low = new Int32Array(32);
  #high = new Int32Array(32);
  /** A lane; `free`; or −2 − row, where several lanes have the block. */
  #holder = new Int32Array(32);
  #size = 0;
  /** Numbers from here on were never used. */
  #fresh = 0;
  readonly #freed: number[] = [];
  /** Bits of lanes, `#width` words a row. */
  #rows = new Int32Array(16);
  #rowLanes = new Int32Array(16);
  #width = 1;
  #freshRow = 0;
  readonly #freedRows: number[] = [];

  /** Blocks that it has. */
  get size(): number {
    return this.#size;
  }

  /** Number of a block; -1: no server has it. */
  find(low: number, high: number): number {
    const mask = this.#table.length - 1;
    for (let at = low & mask; ; at = (at + 1) & mask) {
      const id = (this.#table[at] ?? 0) - 1;
      if (id < 0) return -1;
      if (this.#low[id] === low && this.#high[id] === high) return id;
    }
  }

  /** The block is at the lane. Gives its number. Adding twice changes nothing. */
  add(low: number, high: number, lane: number): number {
    const found = this.find(low, high);
    if (found < 0) return this.#insert(low, high, lane);
    const holder = this.#holder[found] ?? free;
    if (holder >= 0) {
      if (holder !== lane) this.#holder[found] = -2 - this.#rowOf(holder, lane);
    } else this.#setBit(-2 - holder, lane);
    return found;
  }

  /** The block is no longer at the lane. */
  remove(id: number, lane: number): void {
    const holder = this.#holder[id] ?? free;
    if (holder >= 0) {
      if (holder === lane) this.#delete(id);
      return;
    }
    if (holder === free) return;
    const row = -2 - holder;
    const at = row * this.#width + (lane >>> 5);
    const bit = 1 << (lane & 31);
    if (lane >>> 5 >= this.#width || ((this.#rows[at] ?? 0) & bit) === 0) return;
    this.#rows[at] = (this.#rows[at] ?? 0) & ~bit;
    const left = (this.#rowLanes[row] ?? 0) - 1;
    this.#rowLanes[row] = left;
    if (left > 1) return;
    this.#holder[id] = this.#onlyLaneOf(row);
    this.#freedRows.push(row);
  }

  /** Writes the bits of the lanes that have the block into `words`. */
  read(low: number, high: number, words: Int32Array): void {
    words.fill(0);
    const id = this.find(low, high);
    if (id < 0) return;
    const holder = this.#holder[id] ?? free;
    if (holder >= 0) {
      words[holder >>> 5] = 1 << (holder & 31);
      return;
    }
    const from = (-2 - holder) * this.#width;
    for (let i = 0; i < this.#width; i++) words[i] = this.#rows[from + i] ?? 0;
  }

  #insert(low: number, high: number, lane: number): number {
    if (2 * (this.#size + 1) > this.#table.length) this.#grow();
    const id = this.#freed.pop() ?? this.#fresh++;
    this.#low[id] = low;
    this.#high[id] = high;
    this.#holder[id] = lane;
    this.#size++;
    this.#enter(id, low);
    return id;
  }

  #enter(id: number, low: number): void {
    const mask = this.#table.length - 1;
    let at = low & mask;
    while (this.#table[at] !== 0) at = (at + 1) & mask;
    this.#table[at] = id + 1;
  }

  #grow(): void {
    this.#table = new Int32Array(2 * this.#table.length);
    this.#low = larger(this.#low);
    this.#high = larger(this.#high);
    this.#holder = larger(this.#holder);
    // It grows when every number is in use.
    for (let id = 0; id < this.#fresh; id++) this.#enter(id, this.#low[id] ?? 0);
  }

  /** What stands behind it in its run moves up, so that runs stay without gaps. */
  #delete(id: number): void {
    const table = this.#table;
    const mask = table.length - 1;
    let hole = (this.#low[id] ?? 0) & mask;
    while (table[hole] !== id + 1) hole = (hole + 1) & mask;
    for (let at = (hole + 1) & mask; table[at] !== 0; at = (at + 1) & mask) {
      const home = (this.#low[(table[at] ?? 0) - 1] ?? 0) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      table[hole] = table[at] ?? 0;
      hole = at;
    }
    table[hole] = 0;
    this.#holder[id] = free;
    this.#freed.push(id);
    this.#size--;
  }

  #rowOf(first: number, second: number): number {
    const row = this.#freedRows.pop() ?? this.#freshRow++;
    if (row >= this.#rowLanes.length) this.#rowLanes = larger(this.#rowLanes);
    if ((row + 1) * this.#width > this.#rows.length) this.#rows = larger(this.#rows);
    this.#rows.fill(0, row * this.#width, (row + 1) * this.#width);
    this.#rowLanes[row] = 0;
    this.#setBit(row, first);
    this.#setBit(row, second);
    return row;
  }

  #setBit(row: number, lane: number): void {
    if (lane >>> 5 >= this.#width) this.#widen((lane >>> 5) + 1);
    const at = row * this.#width + (lane >>> 5);
    const bit = 1 << (lane & 31);
    const word = this.#rows[at] ?? 0;
    if ((word & bit) !== 0) return;
    this.#rows[at] = word | bit;
    this.#rowLanes[row] = (this.#rowLanes[row] ?? 0) + 1;
  }

  #widen(words: number): void {
    const width = Math.max(words, 2 * this.#width);
    const rows = new Int32Array(width * this.#rowLanes.length);
    for (let row = 0; row < this.#freshRow; row++) {
      rows.set(this.#rows.subarray(row * this.#width, (row + 1) * this.#width), row * width);
    }
    this.#rows = rows;
    this.#width = width;
  }

  #onlyLaneOf(row: number): number {
    for (let i = 0; i < this.#width; i++) {
      const word = this.#rows[row * this.#width + i] ?? 0;
      if (word !== 0) return 32 * i + (31 - Math.clz32(word));
    }
    return free;
  }
}

function larger(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const made = new Int32Array(2 * array.length);
  made.set(array);
  return made;
}
