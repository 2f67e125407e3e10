/** What operators see of an endpoint beyond its state. */
import type { Snapshot } from "../contracts/inspect.ts";
import type { ServerSignals } from "../core/server-signals.ts";

/** What its discovery says of it; nothing where none has found it. */
export function showPlace(
  place:
    | { readonly name: string; readonly namespace: string; readonly labels: Readonly<Record<string, string>> }
    | undefined,
): Readonly<Record<string, Snapshot>> {
  if (place === undefined) return {};
  const { name, namespace, labels } = place;
  return { name, namespace, labels };
}

/** What the server tells of itself; null for what it does not tell, or told too long ago. */
export function showSignals(signals: ServerSignals, now: number): Snapshot {
  const { waiting, running, kvUsage, blockTokens, blocks, maxAdapters, updatedAt } = signals;
  return {
    ageMs: orNull(Math.round(now - updatedAt)),
    waiting: orNull(waiting),
    running: orNull(running),
    kvUsage: orNull(kvUsage),
    blockTokens: orNull(blockTokens),
    blocks: orNull(blocks),
    maxAdapters: orNull(maxAdapters),
    runningAdapters: signals.runningAdapters,
    waitingAdapters: signals.waitingAdapters,
    custom: Object.fromEntries(signals.custom),
  };
}

/** JSON has no infinity and nothing that is no number. */
export function orNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
