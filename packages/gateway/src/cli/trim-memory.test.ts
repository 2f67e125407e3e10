import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { createManualClock } from "../testing.ts";
import { trimWhenQuiet } from "./trim-memory.ts";

const run = promisify(execFile);

function setup() {
  const clock = createManualClock();
  const seen = { busy: 1, started: false, collected: 0 };
  const timer = trimWhenQuiet({
    clock,
    started: () => seen.started,
    busyShare: () => seen.busy,
    collect: () => void seen.collected++,
  });
  return { clock, seen, timer };
}

describe("trimWhenQuiet", () => {
  it("collects once, in the first quiet second after everything has started", () => {
    const { clock, seen } = setup();
    clock.advance(3_000);
    seen.busy = 0.01;
    clock.advance(3_000);
    assert.equal(seen.collected, 0, "still starting");
    seen.started = true;
    seen.busy = 0.06;
    clock.advance(3_000);
    assert.equal(seen.collected, 0, "busy");
    seen.busy = 0.04;
    clock.advance(1_000);
    assert.equal(seen.collected, 1);
    clock.advance(100_000);
    assert.equal(seen.collected, 1);
  });

  it("leaves a process alone that has work from the start on, and one that ends", () => {
    const { clock, seen } = setup();
    seen.started = true;
    clock.advance(31_000);
    seen.busy = 0;
    clock.advance(31_000);
    assert.equal(seen.collected, 0);
    const ended = setup();
    ended.seen.started = true;
    ended.seen.busy = 0;
    ended.timer.cancel();
    ended.clock.advance(31_000);
    assert.equal(ended.seen.collected, 0);
  });

  it("gives memory back that V8 keeps for its young generation", async () => {
    const module = new URL("./trim-memory.ts", import.meta.url).href;
    const program = `
      import { createBusyShare, trimWhenQuiet } from ${JSON.stringify(module)};
      let kept = [];
      for (let round = 0; round < 40; round++) kept = kept.concat(Array.from({ length: 20_000 }, (_, i) => ({ i })));
      kept = [];
      const before = process.memoryUsage().heapTotal;
      const timers = [];
      const clock = { after: (_ms, action) => (timers.push(action), { cancel() {} }) };
      trimWhenQuiet({ clock, started: () => true, busyShare: () => 0 });
      timers[0]();
      console.log(JSON.stringify([before, process.memoryUsage().heapTotal, typeof gc, createBusyShare()()]));
    `;
    const { stdout } = await run(process.execPath, [
      ...process.execArgv.filter((option) => option.startsWith("--conditions=")),
      "--input-type=module",
      "--eval",
      program,
    ]);
    const [before, after, exposed, busy] = JSON.parse(stdout) as [number, number, string, number];
    assert.ok(after < before / 2, `${before} → ${after} bytes`);
    assert.equal(exposed, "undefined");
    assert.ok(busy >= 0 && busy <= 1);
  });
});
