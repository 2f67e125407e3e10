/** Time as a parameter: the machine's, a faster one, or one that jumps from event to event. */

/** A timer that can be stopped. */
export interface Timer {
  /** Stops the timer. Does nothing once it has fired. */
  cancel(): void;
}

/** Monotonic time, wall time and timers. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  now(): number;
  /** Milliseconds since the Unix epoch. */
  wallNow(): number;
  /** Calls `action` once after `delayMs`; 0 is the next turn of the event loop. */
  after(delayMs: number, action: () => void): Timer;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  after(delayMs, action) {
    if (delayMs <= 0) {
      const immediate = setImmediate(action);
      return { cancel: () => clearImmediate(immediate) };
    }
    const handle = setTimeout(action, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

/** A clock that runs `scale` times as fast as `clock`. */
export function scaleClock(clock: Clock, scale: number): Clock {
  if (scale === 1) return clock;
  const start = clock.now();
  const wallStart = clock.wallNow();
  const elapsed = (): number => (clock.now() - start) * scale;
  return {
    now: () => start + elapsed(),
    wallNow: () => wallStart + elapsed(),
    after: (delayMs, action) => clock.after(delayMs / scale, action),
  };
}

/** A clock without a machine behind it: time passes only while `run` or `advance` works off what is due. */
export interface VirtualClock extends Clock {
  /** Works off timers in order until none is left or the next is due after `untilMs`. Returns how many fired. */
  run(untilMs?: number): number;
  /** Works off what falls due in the next `ms` and stands there. */
  advance(ms: number): void;
}

interface Entry {
  readonly at: number;
  readonly order: number;
  action: (() => void) | undefined;
}

/** Starts at 0 ms; wall time at 2026-01-01T00:00:00Z. Timers of one instant fire in the order they were set. */
export function createVirtualClock(): VirtualClock {
  let now = 0;
  let order = 0;
  const heap: Entry[] = [];
  const run = (untilMs = Infinity): number => {
    let fired = 0;
    for (let entry = heap[0]; entry !== undefined && entry.at <= untilMs; entry = heap[0]) {
      popEntry(heap);
      if (entry.action === undefined) continue;
      now = Math.max(now, entry.at);
      fired += 1;
      entry.action();
    }
    return fired;
  };
  return {
    now: () => now,
    wallNow: () => Date.UTC(2026, 0, 1) + now,
    after(delayMs, action) {
      const entry: Entry = { at: now + Math.max(0, delayMs), order: order++, action };
      pushEntry(heap, entry);
      return { cancel: () => void (entry.action = undefined) };
    },
    run,
    advance(ms) {
      const end = now + ms;
      run(end);
      now = end;
    },
  };
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function pushEntry(heap: Entry[], entry: Entry): void {
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const up = (at - 1) >> 1;
    const parent = heap[up];
    if (parent === undefined || !before(entry, parent)) break;
    heap[at] = parent;
    at = up;
  }
  heap[at] = entry;
}

function popEntry(heap: Entry[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let down = 2 * at + 1;
    let child = heap[down];
    if (child === undefined) break;
    const right = heap[down + 1];
    if (right !== undefined && before(right, child)) {
      child = right;
      down += 1;
    }
    if (!before(child, last)) break;
    heap[at] = child;
    at = down;
  }
  heap[at] = last;
}
