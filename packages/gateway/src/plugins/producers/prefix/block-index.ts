/**
 * Which servers are thought to have which blocks of prompts. The hash of a block covers all that stands before it, and a
 * server forgets the blocks of a prompt from its end, so that the servers that have a block are among those that have the
 * one before: how much of a prompt each has is found by bisection, with few looks where servers agree.
 */
import type { SchedulableEndpoint } from "../../../contracts/plugins/scheduling.ts";
import { BlockSegment } from "./block-segment.ts";
import { ServerBlocks } from "./server-blocks.ts";

/** Segments, so that none is so large that it takes long to grow. */
const segments = 64;

/** Most blocks of one server: so many are forgotten within one turn of the event loop. */
const maxBlocksOfServer = 65_536;

/** Most blocks of all servers in sum; each has about 50 bytes. */
const maxBlocksInSum = 4_194_304;

/** Blocks that are forgotten at once where a server turns out to be smaller. */
const forgottenAtOnce = 256;

/** A server of the index. */
interface Lane {
  readonly endpoint: SchedulableEndpoint;
  readonly number: number;
  readonly blocks: ServerBlocks;
}

const noHashes = new Int32Array(0);

/** The index of one pool. */
export class BlockIndex {
  readonly #segments = Array.from({ length: segments }, () => new BlockSegment());
  readonly #capacityOf: (endpoint: SchedulableEndpoint) => number;
  readonly #lanes: (Lane | undefined)[] = [];
  /** Lane + 1 by slot. */
  #laneOfSlot = new Int32Array(16);
  #laneCount = 0;
  #words = 1;
  /** Bits of lanes, one array for each step of the bisection and two for its ends. */
  #levels: Int32Array[] = [];
  #counts = new Int32Array(32);
  /** Of the match that runs. */
  #hashes: Int32Array = noHashes;

  /** `capacityOf`: how many blocks a server's cache has. */
  constructor(capacityOf: (endpoint: SchedulableEndpoint) => number) {
    this.#capacityOf = capacityOf;
    this.#makeLevels(1);
  }

  /** Blocks of all servers in sum. */
  get size(): number {
    let size = 0;
    for (const lane of this.#lanes) size += lane?.blocks.size ?? 0;
    return size;
  }

  /** Blocks that the server is thought to have. */
  sizeOf({ slot }: SchedulableEndpoint): number {
    return this.#lanes[this.laneOf(slot)]?.blocks.size ?? 0;
  }

  /** The server's number here; -1: nothing was ever sent there. */
  laneOf(slot: number): number {
    return (this.#laneOfSlot[slot] ?? 0) - 1;
  }

  /** Finds how many of the first `count` blocks each server has, from the first on. Read with `countOf`. */
  match(hashes: Int32Array, count: number): void {
    this.#counts.fill(0);
    if (count === 0 || this.#laneCount === 0) return;
    const [first, last] = this.#levels;
    if (first === undefined || last === undefined) return;
    this.#read(hashes, 0, first);
    if (isEmpty(first)) return;
    this.#read(hashes, count - 1, last);
    this.#note(last, count);
    if (count === 1 || areEqual(first, last)) return;
    this.#hashes = hashes;
    this.#bisect(0, count - 1, first, last, 2);
    this.#hashes = noHashes;
  }

  /** Blocks of the last `match` that the lane has. */
  countOf(lane: number): number {
    return this.#counts[lane] ?? 0;
  }

  /** A request with these blocks goes to the server. */
  assume(endpoint: SchedulableEndpoint, hashes: Int32Array, count: number): void {
    this.#record(this.#laneFor(endpoint), hashes, count, "assumed");
  }

  /** The server has computed them. `wasAssumed`: after `assume` for the same request. */
  confirm(endpoint: SchedulableEndpoint, hashes: Int32Array, count: number, wasAssumed: boolean): void {
    const lane = wasAssumed ? this.#knownLane(endpoint) : this.#laneFor(endpoint);
    if (lane !== undefined) this.#record(lane, hashes, count, wasAssumed ? "confirmed" : "told");
  }

  /** The request came to nothing after `assume`: blocks that no other request vouches for are forgotten. */
  retract(endpoint: SchedulableEndpoint, hashes: Int32Array, count: number): void {
    const lane = this.#knownLane(endpoint);
    if (lane === undefined) return;
    for (let i = count - 1; i >= 0; i--) {
      const block = this.#numberOf(hashes, i);
      if (block >= 0 && lane.blocks.retract(block)) {
        this.#segmentOf(block).remove(block >>> 6, lane.number);
      }
    }
  }

  /** The server is gone, and with it all that it had. */
  forget(endpoint: SchedulableEndpoint): void {
    const lane = this.#knownLane(endpoint);
    if (lane === undefined) return;
    this.#shrink(lane, 0, Infinity);
    this.#lanes[lane.number] = undefined;
    this.#laneOfSlot[endpoint.slot] = 0;
    this.#laneCount--;
  }

  /** `here` has lanes that `there` has not; they end at one of the blocks from `low` to before `high`. */
  #bisect(low: number, high: number, here: Int32Array, there: Int32Array, level: number): void {
    if (high - low === 1) return this.#noteOnly(here, there, high);
    const between = this.#levels[level];
    if (between === undefined) return;
    const middle = (low + high) >>> 1;
    this.#read(this.#hashes, middle, between);
    for (let i = 0; i < between.length; i++) between[i] = (between[i] ?? 0) & (here[i] ?? 0);
    if (!areEqual(here, between)) this.#bisect(low, middle, here, between, level + 1);
    if (!areEqual(between, there)) this.#bisect(middle, high, between, there, level + 1);
  }

  /** The lanes have so many blocks. */
  #note(words: Int32Array, count: number): void {
    for (let i = 0; i < words.length; i++) {
      for (let word = words[i] ?? 0; word !== 0; word &= word - 1) {
        this.#counts[32 * i + 31 - Math.clz32(word & -word)] = count;
      }
    }
  }

  /** Those of `here` that are not in `there` have so many. */
  #noteOnly(here: Int32Array, there: Int32Array, count: number): void {
    for (let i = 0; i < here.length; i++) {
      for (let word = (here[i] ?? 0) & ~(there[i] ?? 0); word !== 0; word &= word - 1) {
        this.#counts[32 * i + 31 - Math.clz32(word & -word)] = count;
      }
    }
  }

  #read(hashes: Int32Array, index: number, words: Int32Array): void {
    const high = hashes[2 * index + 1] ?? 0;
    this.#segments[high & 63]?.read(hashes[2 * index] ?? 0, high, words);
  }

  #segmentOf(block: number): BlockSegment {
    const segment = this.#segments[block & 63];
    if (segment === undefined) throw new RangeError("a block without a segment");
    return segment;
  }

  #numberOf(hashes: Int32Array, index: number): number {
    const high = hashes[2 * index + 1] ?? 0;
    const id = this.#segmentOf(high & 63).find(hashes[2 * index] ?? 0, high);
    return id < 0 ? -1 : (id << 6) | (high & 63);
  }

  /** From the last to the first, so that those of the beginning are forgotten last. */
  #record(lane: Lane, hashes: Int32Array, count: number, how: "assumed" | "confirmed" | "told"): void {
    const { blocks, number } = lane;
    const capacity = this.#capacityFor(lane.endpoint);
    const kept = Math.min(count, capacity);
    for (let i = kept - 1; i >= 0; i--) {
      const high = hashes[2 * i + 1] ?? 0;
      const id = this.#segmentOf(high & 63).add(hashes[2 * i] ?? 0, high, number);
      const block = (id << 6) | (high & 63);
      if (how === "assumed") blocks.assume(block);
      else blocks.confirm(block, how === "confirmed");
    }
    this.#shrink(lane, capacity, kept + forgottenAtOnce);
  }

  /** Forgets what was used longest ago until no more than `capacity` are left, or `most` are gone. */
  #shrink({ blocks, number }: Lane, capacity: number, most: number): void {
    for (let n = 0; blocks.size > capacity && n < most; n++) {
      const block = blocks.oldest;
      blocks.remove(block);
      this.#segmentOf(block).remove(block >>> 6, number);
    }
  }

  #capacityFor(endpoint: SchedulableEndpoint): number {
    const share = Math.floor(maxBlocksInSum / Math.max(1, this.#laneCount));
    return Math.min(this.#capacityOf(endpoint), maxBlocksOfServer, share);
  }

  #laneFor(endpoint: SchedulableEndpoint): Lane {
    const { slot } = endpoint;
    const known = this.#lanes[this.laneOf(slot)];
    if (known?.endpoint === endpoint) return known;
    // Another endpoint has the slot now.
    if (known !== undefined) this.forget(known.endpoint);
    const gap = this.#lanes.indexOf(undefined);
    const number = gap < 0 ? this.#lanes.length : gap;
    const lane = { endpoint, number, blocks: new ServerBlocks() };
    this.#lanes[number] = lane;
    this.#laneCount++;
    if (slot >= this.#laneOfSlot.length) {
      const larger = new Int32Array(2 * slot + 2);
      larger.set(this.#laneOfSlot);
      this.#laneOfSlot = larger;
    }
    this.#laneOfSlot[slot] = number + 1;
    if (number >= 32 * this.#words) this.#makeLevels(2 * this.#words);
    return lane;
  }

  /** Undefined for an endpoint that was forgotten, whoever has its slot now. */
  #knownLane(endpoint: SchedulableEndpoint): Lane | undefined {
    const lane = this.#lanes[this.laneOf(endpoint.slot)];
    return lane?.endpoint === endpoint ? lane : undefined;
  }

  #makeLevels(words: number): void {
    this.#words = words;
    this.#levels = Array.from({ length: 34 }, () => new Int32Array(words));
    this.#counts = new Int32Array(32 * words);
  }
}

function isEmpty(words: Int32Array): boolean {
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
  return true;
}

function areEqual(a: Int32Array, b: Int32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
