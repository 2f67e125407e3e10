/** A paged key-value cache with prefix reuse, as vLLM's: blocks with a hash stay until their space is needed. */

/** A block that holds known tokens. `users` 0: it stands in the eviction list, least recently used first. */
interface Block {
  readonly hash: number;
  users: number;
  newer: Block | undefined;
  older: Block | undefined;
}

/** What a sequence holds: named blocks it may share, and unnamed ones of its own. */
export interface Holding {
  readonly named: number[];
  own: number;
}

/** Blocks of a fixed number; nothing is given beyond it. */
export class KvCache {
  readonly capacity: number;
  readonly #known = new Map<number, Block>();
  #free: number;
  #idle = 0;
  #oldest: Block | undefined;
  #newest: Block | undefined;
  /** Blocks thrown out to make room, since the start. */
  evictions = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#free = capacity;
  }

  /** Share of the blocks held by sequences, 0 to 1. Cached blocks nobody uses are free, as in vLLM's gauge. */
  get usage(): number {
    return this.capacity === 0 ? 0 : 1 - this.available / this.capacity;
  }

  /** Blocks that could be given now: empty ones and cached ones that nobody uses. */
  get available(): number {
    return this.#free + this.#idle;
  }

  /** Cached blocks, used or not. */
  get cached(): number {
    return this.#known.size;
  }

  /** How many blocks from the start are cached. */
  match(hashes: readonly number[]): number {
    let count = 0;
    while (count < hashes.length && this.#known.has(hashes[count] ?? 0)) count += 1;
    return count;
  }

  /**
   * Takes cached blocks `hashes[0 .. shared)` and `fresh` new ones. Undefined when there is not enough room; then
   * nothing was taken.
   */
  take(hashes: readonly number[], shared: number, fresh: number): Holding | undefined {
    let idle = 0;
    for (let at = 0; at < shared; at++) if (this.#known.get(hashes[at] ?? 0)?.users === 0) idle += 1;
    if (this.available - idle < fresh) return undefined;
    const named = hashes.slice(0, shared);
    for (const hash of named) this.#use(hash);
    for (let at = 0; at < fresh; at++) this.#grab();
    return { named, own: fresh };
  }

  /** One more unnamed block. False when there is no room. */
  grow(holding: Holding): boolean {
    if (this.available < 1) return false;
    this.#grab();
    holding.own += 1;
    return true;
  }

  /** Names an unnamed block of the holding once its tokens are computed, so that others find it. */
  name(holding: Holding, hash: number): void {
    if (holding.own === 0) return;
    const known = this.#known.get(hash);
    holding.own -= 1;
    if (known === undefined) this.#known.set(hash, { hash, users: 1, newer: undefined, older: undefined });
    else {
      this.#use(hash);
      this.#free += 1;
    }
    holding.named.push(hash);
  }

  /** Gives everything back. Named blocks stay cached, the last ones first in line to go. */
  release(holding: Holding): void {
    this.#free += holding.own;
    holding.own = 0;
    for (let at = holding.named.length - 1; at >= 0; at--) {
      const block = this.#known.get(holding.named[at] ?? 0);
      if (block === undefined) continue;
      block.users -= 1;
      if (block.users === 0) this.#append(block);
    }
    holding.named.length = 0;
  }

  /** Forgets every block that nobody uses. */
  reset(): void {
    while (this.#oldest !== undefined) this.#evict(this.#oldest);
  }

  #use(hash: number): void {
    const block = this.#known.get(hash);
    if (block === undefined) return;
    if (block.users === 0) this.#unlink(block);
    block.users += 1;
  }

  #grab(): void {
    if (this.#free === 0 && this.#oldest !== undefined) this.#evict(this.#oldest);
    this.#free -= 1;
  }

  #evict(block: Block): void {
    this.#unlink(block);
    this.#known.delete(block.hash);
    this.#free += 1;
    this.evictions += 1;
  }

  #append(block: Block): void {
    this.#idle += 1;
    block.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = block;
    else this.#newest.newer = block;
    this.#newest = block;
  }

  #unlink(block: Block): void {
    this.#idle -= 1;
    if (block.older === undefined) this.#oldest = block.newer;
    else block.older.newer = block.newer;
    if (block.newer === undefined) this.#newest = block.older;
    else block.newer.older = block.older;
    block.newer = undefined;
    block.older = undefined;
  }
}
