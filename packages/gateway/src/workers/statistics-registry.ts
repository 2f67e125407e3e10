/** The statistics of every model version that was ever served, kept over reloads. */
import type { ModelStatistics as StatisticsSnapshot } from "../contracts/models.ts";
import type { Metrics } from "../contracts/telemetry.ts";
import type { Clock } from "../core/clock.ts";
import { ModelStatistics } from "./statistics.ts";

/** Model versions kept apart; beyond it the oldest is forgotten. */
const maxEntries = 10_000;

/** Finds or makes statistics by model and version. */
export class StatisticsRegistry {
  readonly #context: { readonly clock: Clock; readonly metrics: Metrics };
  readonly #entries = new Map<string, ModelStatistics>();

  constructor(context: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.#context = context;
  }

  of(name: string, version: string): ModelStatistics {
    const key = `${name}/${version}`;
    let entry = this.#entries.get(key);
    if (entry !== undefined) return entry;
    const oldest = this.#entries.keys().next();
    if (this.#entries.size >= maxEntries && oldest.done !== true) this.#entries.delete(oldest.value);
    entry = new ModelStatistics(name, version, this.#context);
    this.#entries.set(key, entry);
    return entry;
  }

  /** Snapshots, narrowed to a model and a version where given. */
  snapshots(name: string | undefined, version: string | undefined): StatisticsSnapshot[] {
    return [...this.#entries.values()]
      .map((entry) => entry.snapshot())
      .filter(
        (one) =>
          (name === undefined || one.name === name) && (version === undefined || one.version === version),
      );
  }
}
