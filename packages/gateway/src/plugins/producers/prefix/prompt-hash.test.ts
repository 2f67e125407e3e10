// Hashes of blocks depend on all bytes before their end and on nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createSeededRandom } from "../../../core/random.ts";
import { hashOfRange, PromptHasher, seedFor } from "./prompt-hash.ts";

const random = createSeededRandom(11);
const seed = seedFor("m", { a: 5, b: 6 });

function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(random.unit() * 256));
}

function hashed(parts: readonly Uint8Array[], blockBytes = 256, from = seed): Int32Array {
  const hasher = new PromptHasher(parts, from, blockBytes, 10_000);
  assert.ok(hasher.go(10_000));
  return hasher.hashes;
}

/** The same bytes in parts of any size, some of them empty, at odd places of larger buffers. */
function torn(bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = Math.floor(random.unit() * 700);
    const shift = Math.floor(random.unit() * 7);
    const piece = bytes.subarray(at, at + size);
    const buffer = new Uint8Array(piece.length + shift);
    buffer.set(piece, shift);
    parts.push(buffer.subarray(shift));
    at += size;
  }
  return parts;
}

test("do not depend on how the bytes are divided into parts, or hashed in turns", () => {
  for (let n = 0; n < 200; n++) {
    const bytes = bytesOf(Math.floor(random.unit() * 4_000));
    const whole = hashed([bytes]);
    assert.equal(whole.length, 2 * Math.floor(bytes.length / 256));
    const parts = torn(bytes);
    assert.deepEqual(hashed(parts), whole);
    const inTurns = new PromptHasher(parts, seed, 256, 10_000);
    let turns = 0;
    while (!inTurns.go(3)) turns++;
    assert.equal(turns, Math.max(0, Math.ceil(inTurns.count / 3) - 1));
    assert.deepEqual(inTurns.hashes, whole);
  }
});

test("of equal beginnings are equal, and change with every byte from where it stands on", () => {
  const bytes = bytesOf(2_048);
  const whole = hashed([bytes]);
  for (let at = 0; at < bytes.length; at += 37) {
    const changed = bytes.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    const other = hashed([changed]);
    const block = Math.floor(at / 256);
    for (let i = 0; i < 8; i++) {
      const isSame = other[2 * i] === whole[2 * i] && other[2 * i + 1] === whole[2 * i + 1];
      assert.equal(isSame, i < block, `byte ${at}, block ${i}`);
    }
  }
});

test("are told apart by model and by process", () => {
  const bytes = bytesOf(512);
  const all = [
    hashed([bytes]),
    hashed([bytes], 256, seedFor("n", { a: 5, b: 6 })),
    hashed([bytes], 256, seedFor("m", { a: 5, b: 7 })),
    hashed([bytes], 256, seedFor("", { a: 5, b: 6 })),
    hashed([bytes], 256, seedFor("m\0", { a: 5, b: 6 })),
  ];
  assert.equal(new Set(all.map((hashes) => hashes.join())).size, all.length);
});

test("do not meet among a million blocks that differ little", () => {
  const seen = new Set<string>();
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  const lows = new Set<number>();
  for (let n = 0; n < 200_000; n++) {
    view.setUint32(4 * (n % 64), n, true);
    const hashes = hashed([bytes]);
    seen.add(`${hashes[0]},${hashes[1]}`);
    lows.add((hashes[0] ?? 0) & 0xffff);
  }
  assert.equal(seen.size, 200_000);
  // All places of a table of 65,536 are met: 200,000 draws leave 4.7 % of them out.
  assert.ok(Math.abs(lows.size / 65_536 - 0.953) < 0.01, String(lows.size));
});

test("of ranges are those of the bytes there", () => {
  const bytes = bytesOf(1_000);
  for (let n = 0; n < 200; n++) {
    const from = Math.floor(random.unit() * 900);
    const length = Math.floor(random.unit() * 100);
    const alone = bytes.slice(from, from + length);
    assert.equal(hashOfRange(torn(bytes), from, length, 9), hashOfRange([alone], 0, length, 9));
    if (length === 0) continue;
    alone[length - 1] = (alone[length - 1] ?? 0) ^ 4;
    assert.notEqual(hashOfRange([bytes], from, length, 9), hashOfRange([alone], 0, length, 9));
    assert.notEqual(hashOfRange([bytes], from, length - 1, 9), hashOfRange([bytes], from, length, 9));
  }
});
