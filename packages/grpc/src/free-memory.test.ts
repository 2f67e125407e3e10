import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { freeMemory } from "./free-memory.ts";

describe("freeMemory", () => {
  it("frees memory at once and no second time", () => {
    const before = process.memoryUsage().arrayBuffers;
    const bytes = Buffer.allocUnsafeSlow(50_000_000);
    assert.ok(process.memoryUsage().arrayBuffers > before + 40_000_000);
    freeMemory(bytes);
    freeMemory(bytes);
    assert.equal(bytes.length, 0);
    assert.ok(process.memoryUsage().arrayBuffers < before + 10_000_000);
  });

  it("leaves a buffer alone of which others may use the rest", () => {
    const whole = Buffer.alloc(100, 7);
    freeMemory(whole.subarray(0, 50));
    assert.equal(whole.buffer.detached, false);
    assert.equal(whole[99], 7);
  });

  it("leaves shared memory alone", () => {
    const shared = new Uint8Array(new SharedArrayBuffer(10));
    freeMemory(shared);
    assert.equal(shared.length, 10);
  });
});
