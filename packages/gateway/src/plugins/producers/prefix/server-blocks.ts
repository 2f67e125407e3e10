/**
 * The blocks that one server is thought to have, in the order of their last use: open addressing and a linked list over
 * typed arrays. A block is assumed while requests that have it are under way, and confirmed once the server has computed
 * it; one that is neither is not there.
 */

const none = -1;

/** Blocks by their numbers in the index. */
export class ServerBlocks {
  /** Entry + 1; 0: empty. */
  #table = new Int32Array(64);
  #block = new Int32Array(32);
  #next = new Int32Array(32);
  #previous = new Int32Array(32);
  /** Requests under way that have the block; the lowest bit tells whether it is confirmed. */
  #hold = new Int32Array(32);
  #newest = none;
  #oldest = none;
  #fresh = 0;
  readonly #freed: number[] = [];
  size = 0;

  /** The block used longest ago; -1: there is none. */
  get oldest(): number {
    return this.#oldest === none ? none : (this.#block[this.#oldest] ?? none);
  }

  /** A request that has the block is under way. The block is made where it is not there, and is the newest now. */
  assume(block: number): void {
    const entry = this.#use(block);
    this.#hold[entry] = (this.#hold[entry] ?? 0) + 2;
  }

  /** The same once the server has computed the block. `wasAssumed`: the request counted as one under way. */
  confirm(block: number, wasAssumed: boolean): void {
    const entry = this.#use(block);
    const hold = this.#hold[entry] ?? 0;
    this.#hold[entry] = (wasAssumed && hold >= 2 ? hold - 2 : hold) | 1;
  }

  /** The request came to nothing. True where nobody else vouches for the block, which is removed. */
  retract(block: number): boolean {
    const entry = this.#find(block);
    if (entry === none) return false;
    const hold = this.#hold[entry] ?? 0;
    const left = hold >= 2 ? hold - 2 : hold;
    this.#hold[entry] = left;
    if (left > 0) return false;
    this.#remove(entry);
    return true;
  }

  /** Forgets the block. */
  remove(block: number): void {
    const entry = this.#find(block);
    if (entry !== none) this.#remove(entry);
  }

  #use(block: number): number {
    const entry = this.#find(block);
    if (entry === none) return this.#insert(block);
    if (entry !== this.#newest) {
      this.#unlink(entry);
      this.#linkNewest(entry);
    }
    return entry;
  }

  #find(block: number): number {
    const mask = this.#table.length - 1;
    for (let at = spread(block) & mask; ; at = (at + 1) & mask) {
      const entry = (this.#table[at] ?? 0) - 1;
      if (entry < 0) return none;
      if (this.#block[entry] === block) return entry;
    }
  }

  #insert(block: number): number {
    if (2 * (this.size + 1) > this.#table.length) this.#grow();
    const entry = this.#freed.pop() ?? this.#fresh++;
    this.#block[entry] = block;
    this.#hold[entry] = 0;
    this.size++;
    this.#enter(entry, block);
    this.#linkNewest(entry);
    return entry;
  }

  #enter(entry: number, block: number): void {
    const mask = this.#table.length - 1;
    let at = spread(block) & mask;
    while (this.#table[at] !== 0) at = (at + 1) & mask;
    this.#table[at] = entry + 1;
  }

  #grow(): void {
    this.#table = new Int32Array(2 * this.#table.length);
    this.#block = larger(this.#block);
    this.#next = larger(this.#next);
    this.#previous = larger(this.#previous);
    this.#hold = larger(this.#hold);
    for (let entry = this.#newest; entry !== none; entry = this.#next[entry] ?? none) {
      this.#enter(entry, this.#block[entry] ?? 0);
    }
  }

  #remove(entry: number): void {
    const table = this.#table;
    const mask = table.length - 1;
    let hole = spread(this.#block[entry] ?? 0) & mask;
    while (table[hole] !== entry + 1) hole = (hole + 1) & mask;
    for (let at = (hole + 1) & mask; table[at] !== 0; at = (at + 1) & mask) {
      const home = spread(this.#block[(table[at] ?? 0) - 1] ?? 0) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      table[hole] = table[at] ?? 0;
      hole = at;
    }
    table[hole] = 0;
    this.#unlink(entry);
    this.#freed.push(entry);
    this.size--;
  }

  #linkNewest(entry: number): void {
    this.#previous[entry] = none;
    this.#next[entry] = this.#newest;
    if (this.#newest === none) this.#oldest = entry;
    else this.#previous[this.#newest] = entry;
    this.#newest = entry;
  }

  #unlink(entry: number): void {
    const previous = this.#previous[entry] ?? none;
    const next = this.#next[entry] ?? none;
    if (previous === none) this.#newest = next;
    else this.#next[previous] = next;
    if (next === none) this.#oldest = previous;
    else this.#previous[next] = previous;
  }
}

/** Numbers of blocks follow one another; tables want them apart. */
function spread(block: number): number {
  const mixed = Math.imul(block, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

function larger(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const made = new Int32Array(2 * array.length);
  made.set(array);
  return made;
}
