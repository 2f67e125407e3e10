import assert from "node:assert/strict";
import { test } from "node:test";
import { sleep, systemClock } from "./clock.ts";

test("what is past is at once, and what is far does not fire; neither is complained about", async (t) => {
  const warnings: Error[] = [];
  const hear = (warning: Error): void => void warnings.push(warning);
  process.on("warning", hear);
  t.after(() => process.off("warning", hear));
  let fired = false;
  const far = systemClock.after(2 ** 40, () => (fired = true));
  await sleep(systemClock, -0.0002);
  await new Promise((resolve) => setTimeout(resolve, 20));
  far.cancel();
  assert.equal(fired, false);
  assert.deepEqual(warnings, []);
});
