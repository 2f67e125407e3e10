/** How full one server is, where nothing else is configured that says so. */
import type { SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";

/** As the inference extension's endpoint pickers have it: so many requests that wait, or so much of the cache, is full. */
const full = { waiting: 5, kvUsage: 0.8 };

/**
 * The largest of: requests under way against the server's capacity, requests that wait in it, and the use of its KV
 * cache. What it does not tell, or told too long ago, says nothing.
 */
export function fullnessOf({ load, capacity, signals }: SchedulableEndpoint): number {
  const { waiting, kvUsage } = signals;
  const own = load.requests / capacity;
  const queue = Number.isNaN(waiting) ? 0 : waiting / full.waiting;
  const cache = Number.isNaN(kvUsage) ? 0 : kvUsage / full.kvUsage;
  return Math.max(own, queue, cache);
}
