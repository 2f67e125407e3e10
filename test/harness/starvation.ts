/** How long a test's process was kept from running: what a limit in milliseconds cannot be blamed for. */

/** A clock of its own runs from the start until it is stopped. */
export interface StarvationMeter {
  /** Milliseconds since the start in which the process wanted to run and was given no processor. */
  lostMs(): number;
  stop(): void;
}

/** How often it looks, and by how much a look must be late to count, ms. */
const everyMs = 5;
const lateMs = 10;

/**
 * Looks every few milliseconds. A look that is late because the process itself computed is not counted:
 * a program that holds up its own loop is to blame for it.
 */
export function startStarvationMeter(): StarvationMeter {
  let lost = 0;
  let lookedAt = performance.now();
  let usedAt = process.cpuUsage();
  const look = (): void => {
    const now = performance.now();
    const { user, system } = process.cpuUsage(usedAt);
    const late = now - lookedAt - everyMs;
    if (late > lateMs) lost += Math.max(0, late - (user + system) / 1_000);
    lookedAt = now;
    usedAt = process.cpuUsage();
  };
  const timer = setInterval(look, everyMs);
  return {
    lostMs() {
      look();
      return lost;
    },
    stop: () => clearInterval(timer),
  };
}
