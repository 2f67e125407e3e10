/** One plugin at a time, as the engine calls it. */
import assert from "node:assert/strict";
import type { DataKey, PluginDefinition, PluginHost } from "../../src/contracts/plugins/plugin.ts";
import type {
  Candidates,
  Filter,
  Picker,
  SchedulableEndpoint,
  ScheduledRequest,
  Scorer,
} from "../../src/contracts/plugins/scheduling.ts";
import type { Clock } from "../../src/core/clock.ts";
import { createSeededRandom, type Random } from "../../src/core/random.ts";
import { builtInPlugins } from "../../src/plugins/index.ts";
import { createMetrics } from "../../src/telemetry/index.ts";
import { createManualClock } from "../../src/testing.ts";

/** Candidates over endpoints; `positions` are all of them unless some are named. */
export function candidatesOf(
  endpoints: readonly SchedulableEndpoint[],
  positions: readonly number[] = endpoints.map((_, index) => index),
): Candidates & { readonly left: number[] } {
  return {
    endpoints,
    positions: Int32Array.from(positions),
    count: positions.length,
    keep(count) {
      assert.ok(count >= 0 && count <= this.count, "keeps more than there are");
      Object.assign(this, { count });
    },
    get left() {
      return [...this.positions.subarray(0, this.count)];
    },
  };
}

/** What a test may set of a plugin's surroundings. */
export interface PluginSetup {
  readonly parameters?: Record<string, unknown>;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly definitions?: readonly PluginDefinition[];
  /** Keys in the order of their places in `data`; others are refused. */
  readonly keys?: readonly DataKey<unknown>[];
}

/** The plugin of a type. Its parameters are checked as a configuration's are. */
export function makePlugin<T>(type: string, setup: PluginSetup = {}): T {
  const { parameters = {}, clock = createManualClock(), random = createSeededRandom(3) } = setup;
  const { definitions = builtInPlugins, keys = [] } = setup;
  const definition = definitions.find((each) => each.type === type);
  assert.ok(definition !== undefined, `no plugin ${type}`);
  const host: PluginHost = {
    name: type,
    clock,
    random,
    logger: { error() {}, warn() {}, info() {}, debug() {} },
    metrics: createMetrics(),
    dataIndex(key) {
      const index = keys.indexOf(key);
      assert.ok(index >= 0, `${type} reads ${key.name}`);
      return index;
    },
  };
  return definition.create(definition.parameters.parse(parameters), host) as T;
}

/** Scores by position, rounded to nine digits. */
export function scoresOf(scorer: Scorer, candidates: Candidates, request: ScheduledRequest): number[] {
  const scores = new Float64Array(candidates.count + 3).fill(-7);
  scorer.score(candidates, request, scores);
  assert.deepEqual([...scores.subarray(candidates.count)], [-7, -7, -7], "writes behind its candidates");
  return [...scores.subarray(0, candidates.count)].map((score) => Number(score.toFixed(9)));
}

/** Positions that a filter leaves. */
export function keptBy(
  filter: Filter,
  endpoints: readonly SchedulableEndpoint[],
  request: ScheduledRequest,
): number[] {
  const candidates = candidatesOf(endpoints);
  filter.filter(candidates, request);
  return candidates.left;
}

/** Positions that a picker chooses. */
export function pickedBy(picker: Picker, totals: readonly number[], candidates: Candidates): number[] {
  const picked = new Int32Array(totals.length);
  const count = picker.pick(candidates, Float64Array.from(totals), picked);
  return [...picked.subarray(0, count)];
}
