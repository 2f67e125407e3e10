/** Tells of plugins that throw, without a line for each request. */
import type { Logger } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";

/** Shortest time between two lines about one plugin, ms. */
const pauseMs = 10_000;

/** Logs the first fault of a plugin, and then at most one in ten seconds with how many there were meanwhile. */
export function createFaultLog(logger: Logger, clock: Clock): (plugin: string, error: unknown) => void {
  const told = new Map<string, { at: number; since: number }>();
  return (plugin, error) => {
    const now = clock.now();
    const last = told.get(plugin);
    if (last !== undefined && now - last.at < pauseMs) {
      last.since++;
      return;
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    logger.error("plugin_fault", { plugin, faults: 1 + (last?.since ?? 0), error: text });
    told.set(plugin, { at: now, since: 0 });
  };
}
