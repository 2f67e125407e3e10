/** Waiting for what has to become true, without guessing how long it takes. */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

/** Longest wait: far beyond what anything here takes, so that only what never happens fails. */
const limitMs = 20_000;

/** Resolves with the first result that is neither false nor undefined; fails with what was waited for after 20 s, or `mostMs`. */
export async function until<T>(
  what: string,
  look: () => T | false | undefined | Promise<T | false | undefined>,
  mostMs = limitMs,
): Promise<T> {
  const end = performance.now() + mostMs;
  for (;;) {
    const found = await look();
    if (found !== false && found !== undefined) return found;
    assert.ok(performance.now() < end, `not within ${mostMs / 1_000} s: ${what}`);
    await pause(5);
  }
}
