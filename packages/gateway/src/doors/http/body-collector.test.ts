import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BodyCollector, type PieceOwner } from "./body-collector.ts";

function piece(fill: number, bytes = 70_000): Buffer {
  return Buffer.allocUnsafeSlow(bytes).fill(fill);
}

function collect(pieces: readonly Buffer[], owner: PieceOwner, expected?: number): Uint8Array {
  const collector = new BodyCollector(expected, owner);
  for (const each of pieces) collector.add(each);
  return collector.bytes();
}

describe("BodyCollector", () => {
  it("keeps a body of one piece as it is", () => {
    const only = piece(1);
    assert.equal(collect([only], "collector"), only);
    assert.equal(only.length, 70_000);
  });

  it("joins pieces, of a known length and of an unknown one, and frees those that are its own", () => {
    for (const expected of [undefined, 30 * 70_000]) {
      const pieces = Array.from({ length: 30 }, (_, index) => piece(index));
      const whole = Buffer.concat(pieces);
      assert.ok(whole.equals(collect(pieces, "collector", expected)));
      assert.ok(pieces.every((each) => each.length === 0));
    }
  });

  it("leaves alone what is not its own", () => {
    const pieces = [piece(1), piece(2), piece(3)];
    const whole = Buffer.concat(pieces);
    assert.ok(whole.equals(collect(pieces, "source")));
    assert.ok(whole.equals(Buffer.concat(pieces)));
  });

  it("does not free a pool that its pieces are views of", () => {
    const pool = piece(9, 200_000);
    const views = [pool.subarray(0, 100_000), pool.subarray(100_000)];
    assert.ok(pool.equals(collect(views, "collector")));
    assert.equal(pool.length, 200_000);
  });
});
