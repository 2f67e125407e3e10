// The index of blocks against a plain model of it, over random requests that end well or badly, evictions and servers that go.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { plainServer } from "../../../../test/support/scheduling-fixture.ts";
import type { SchedulableEndpoint } from "../../../contracts/plugins/scheduling.ts";
import { createSeededRandom } from "../../../core/random.ts";
import { BlockIndex } from "./block-index.ts";
import { PromptHasher, seedFor } from "./prompt-hash.ts";

const blockBytes = 8;
const seed = seedFor("m", { a: 1, b: 2 });

/** Hashes of a text whose letters are blocks. */
function hashesOf(text: string): { hashes: Int32Array; count: number } {
  const bytes = new Uint8Array(
    Buffer.from(
      text
        .split("")
        .map((letter) => letter.repeat(blockBytes))
        .join(""),
    ),
  );
  const hasher = new PromptHasher([bytes], seed, blockBytes, 1_000);
  hasher.go(1_000);
  return hasher;
}

/** What the index has to be: beginnings of texts by server, used longest ago first. */
class Model {
  readonly #blocks = new Map<number, Map<string, { assumed: number; confirmed: boolean }>>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  of(slot: number) {
    const known = this.#blocks.get(slot);
    if (known !== undefined) return known;
    const made = new Map<string, { assumed: number; confirmed: boolean }>();
    this.#blocks.set(slot, made);
    return made;
  }

  use(slot: number, text: string, change: (block: { assumed: number; confirmed: boolean }) => void): void {
    const blocks = this.of(slot);
    for (let length = Math.min(text.length, this.#capacity); length > 0; length--) {
      const key = text.slice(0, length);
      const block = blocks.get(key) ?? { assumed: 0, confirmed: false };
      blocks.delete(key);
      blocks.set(key, block);
      change(block);
    }
    for (const key of blocks.keys()) {
      if (blocks.size <= this.#capacity) break;
      blocks.delete(key);
    }
  }

  retract(slot: number, text: string): void {
    const blocks = this.of(slot);
    for (let length = text.length; length > 0; length--) {
      const key = text.slice(0, length);
      const block = blocks.get(key);
      if (block === undefined) continue;
      block.assumed = Math.max(0, block.assumed - 1);
      if (block.assumed === 0 && !block.confirmed) blocks.delete(key);
    }
  }

  forget(slot: number): void {
    this.#blocks.delete(slot);
  }

  /** The first missing block ends the match. */
  count(slot: number, text: string): number {
    const blocks = this.of(slot);
    let count = 0;
    while (count < text.length && blocks.has(text.slice(0, count + 1))) count++;
    return count;
  }
}

interface Trial {
  readonly servers: number;
  readonly capacity: number;
  readonly letters: string;
  readonly longest: number;
  readonly steps: number;
}

function runTrial(seedOfTrial: number, { servers: count, capacity, letters, longest, steps }: Trial): void {
  const random = createSeededRandom(seedOfTrial);
  const below = (n: number): number => Math.floor(random.unit() * n);
  let servers = Array.from({ length: count }, (_, index) => plainServer(index));
  const index = new BlockIndex(() => capacity);
  const model = new Model(capacity);
  const open: { server: SchedulableEndpoint; text: string }[] = [];
  const textOf = (): string =>
    Array.from({ length: 1 + below(longest) }, () => letters[below(letters.length)] ?? "a").join("");
  for (let step = 0; step < steps; step++) {
    const what = below(10);
    if (what < 4) {
      const server = servers[below(count)] ?? assert.fail();
      const text = textOf();
      const { hashes, count: blocks } = hashesOf(text);
      index.assume(server, hashes, blocks);
      model.use(server.slot, text, (block) => void block.assumed++);
      open.push({ server, text });
    } else if (what < 9 && open.length > 0) {
      const [{ server, text }] = open.splice(below(open.length), 1) as [(typeof open)[number]];
      const { hashes, count: blocks } = hashesOf(text);
      if (what < 7) {
        index.confirm(server, hashes, blocks, true);
        model.use(server.slot, text, (block) => {
          block.assumed = Math.max(0, block.assumed - 1);
          block.confirmed = true;
        });
      } else {
        index.retract(server, hashes, blocks);
        model.retract(server.slot, text);
      }
    } else if (below(20) === 0) {
      const gone = servers[below(count)] ?? assert.fail();
      index.forget(gone);
      model.forget(gone.slot);
      for (let i = open.length - 1; i >= 0; i--) if (open[i]?.server === gone) open.splice(i, 1);
      servers = servers.map((server) => (server === gone ? plainServer(gone.slot) : server));
    }
    const asked = textOf();
    const { hashes, count: blocks } = hashesOf(asked);
    index.match(hashes, blocks);
    for (const server of servers) {
      const lane = index.laneOf(server.slot);
      const found = lane < 0 ? 0 : index.countOf(lane);
      assert.equal(found, model.count(server.slot, asked), `seed ${seedOfTrial}, step ${step}: ${asked}`);
      assert.equal(index.sizeOf(server), model.of(server.slot).size);
      assert.ok(index.sizeOf(server) <= capacity);
    }
  }
}

describe("the index says what a plain model says", () => {
  test("of few servers with much room", () => {
    for (let n = 1; n <= 40; n++) {
      runTrial(n, { servers: 3, capacity: 1_000, letters: "ab", longest: 7, steps: 150 });
    }
  });

  test("of many servers, which share most blocks", () => {
    for (let n = 1; n <= 6; n++) {
      runTrial(100 + n, { servers: 70, capacity: 1_000, letters: "ab", longest: 5, steps: 250 });
    }
  });
});

test("servers with little room keep the beginnings of what they had last, and never more than fits", () => {
  const index = new BlockIndex(() => 4);
  const server = plainServer(0);
  const countOf = (text: string): number => {
    const { hashes, count } = hashesOf(text);
    index.match(hashes, count);
    return index.countOf(index.laneOf(0));
  };
  for (const text of ["abc", "xyz"]) {
    const { hashes, count } = hashesOf(text);
    index.assume(server, hashes, count);
    index.confirm(server, hashes, count, true);
  }
  assert.equal(index.size, 4);
  assert.deepEqual(["abc", "xyz"].map(countOf), [1, 3]);
  const long = hashesOf("klmnopq");
  index.assume(server, long.hashes, long.count);
  assert.deepEqual(["abc", "xyz", "klmnopq"].map(countOf), [0, 0, 4]);
});

test("servers that tell of less room give up the rest step by step", () => {
  let capacity = 2_000;
  const index = new BlockIndex(() => capacity);
  const server = plainServer(0);
  for (let n = 0; n < 500; n++) {
    const { hashes, count } = hashesOf(`${String.fromCharCode(0x4e00 + n)}bcd`);
    index.confirm(server, hashes, count, false);
  }
  assert.equal(index.sizeOf(server), 2_000);
  capacity = 10;
  for (let n = 0; n < 20; n++) {
    const { hashes, count } = hashesOf("abcd");
    index.confirm(server, hashes, count, false);
  }
  assert.equal(index.sizeOf(server), 10);
});

test("an endpoint that has the slot of another knows nothing of what that one had", () => {
  const index = new BlockIndex(() => 100);
  const { hashes, count } = hashesOf("abc");
  const old = plainServer(7);
  index.assume(old, hashes, count);
  const fresh = plainServer(7);
  const other = hashesOf("xyz");
  index.assume(fresh, other.hashes, other.count);
  index.match(hashes, count);
  assert.equal(index.countOf(index.laneOf(7)), 0);
  // The end of the old one's request changes nothing.
  index.confirm(old, hashes, count, true);
  index.retract(old, hashes, count);
  assert.equal(index.size, 3);
});
