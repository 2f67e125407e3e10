import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createVirtualClock } from "../clock.ts";
import type { VirtualClock } from "../clock.ts";
import { ModelHost } from "./model-host.ts";
import type { Claim, HostedModel, HostOptions } from "./model-host.ts";
import { quickEngine } from "./options.ts";

function hostOf(options: Partial<HostOptions> = {}): { clock: VirtualClock; host: ModelHost; log: string[] } {
  const clock = createVirtualClock();
  return {
    clock,
    host: new ModelHost({ maxLoaded: 1, maxQueue: 4, keepAliveMs: 1000, ...options }, clock),
    log: [],
  };
}

const modelOf = (name: string): HostedModel => ({ name, engine: quickEngine, loadMs: 100 });

function claim(
  { host, clock, log }: ReturnType<typeof hostOf>,
  name: string,
  keepAliveMs?: number,
): Claim | undefined {
  return host.claim(modelOf(name), { keepAliveMs, ready: () => log.push(`${name}@${clock.now()}`) });
}

const names = (host: ModelHost): string[] => host.runners().map(({ model }) => model.name);

describe("model host", () => {
  it("loads once for all who ask and keeps the model for a while", () => {
    const world = hostOf();
    const claims = [claim(world, "a"), claim(world, "a")];
    world.clock.advance(100);
    assert.deepEqual(world.log, ["a@100", "a@100"]);
    assert.equal(claims[0]?.loadedAfterMs, 100);
    for (const each of claims) each?.release();
    claims[0]?.release();
    world.clock.advance(999);
    assert.deepEqual(names(world.host), ["a"]);
    world.clock.advance(2);
    assert.deepEqual(names(world.host), []);
  });

  it("makes room by throwing out an idle model, never one at work", () => {
    const world = hostOf();
    const first = claim(world, "a");
    world.clock.advance(100);
    claim(world, "b");
    claim(world, "c");
    world.clock.advance(500);
    assert.deepEqual([names(world.host), world.host.waiting], [["a"], 2]);
    first?.release();
    assert.deepEqual(names(world.host), ["b"]);
    world.clock.advance(100);
    assert.deepEqual(world.log, ["a@100", "b@700"]);
  });

  it("throws out the one with the shortest keep-alive first", () => {
    const world = hostOf({ maxLoaded: 2 });
    const claims = [claim(world, "long", 60_000), claim(world, "short", 5000)];
    world.clock.advance(100);
    for (const each of claims) each?.release();
    claim(world, "new");
    assert.deepEqual(names(world.host), ["long", "new"]);
  });

  it("refuses beyond its queue; a model in memory is open to all", () => {
    const world = hostOf({ maxQueue: 2 });
    claim(world, "a");
    world.clock.advance(100);
    assert.ok(claim(world, "b"));
    assert.ok(claim(world, "c"));
    assert.equal(claim(world, "d"), undefined);
    assert.ok(claim(world, "a"));
    assert.equal(world.host.counters.refused, 1);
  });

  it("keeps for ever, or not at all", () => {
    const world = hostOf({ maxLoaded: 2 });
    const claims = [claim(world, "ever", Infinity), claim(world, "gone", 0)];
    world.clock.advance(100);
    for (const each of claims) each?.release();
    world.clock.advance(1e9);
    assert.deepEqual(names(world.host), ["ever"]);
  });

  it("lets one who waits leave, whether queued or loading", () => {
    const world = hostOf();
    const loading = claim(world, "a");
    const queued = claim(world, "b");
    loading?.release();
    queued?.release();
    assert.equal(world.host.waiting, 0);
    world.clock.advance(100);
    assert.deepEqual([world.log, names(world.host)], [[], ["a"]]);
    world.clock.advance(1001);
    assert.deepEqual(names(world.host), []);
  });

  it("unloads on order once nobody holds the model", () => {
    const world = hostOf();
    const held = claim(world, "a");
    world.clock.advance(100);
    world.host.unload("a");
    assert.deepEqual(names(world.host), ["a"]);
    held?.release();
    assert.deepEqual(names(world.host), []);
  });
});
