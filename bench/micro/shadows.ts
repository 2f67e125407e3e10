/**
 * What watching costs live scheduling at 5,000 decisions a second: processor time of the live thread for a decision, by
 * itself, with metrics and explanations, and with one and three shadow profiles beside. Prompts of 4 KB with shared
 * beginnings, the profile that others ship (queue, KV cache, prefix).
 * Run: `node scripts/run.mjs bench/micro/shadows.ts`.
 */
import { createPickerWatch } from "../../packages/gateway/src/app/picker-watch.ts";
import { defaultHttpPool } from "../../packages/gateway/src/config/index.ts";
import type { AttemptResult, ForwardDecision } from "../../packages/gateway/src/contracts/http-endpoint.ts";
import type { SchedulingSpec } from "../../packages/gateway/src/contracts/plugins/scheduling.ts";
import { systemClock } from "../../packages/gateway/src/core/clock.ts";
import { isFailure } from "../../packages/gateway/src/core/errors.ts";
import { createSeededRandom } from "../../packages/gateway/src/core/random.ts";
import { createProfiles } from "../../packages/gateway/src/plugins/create-profiles.ts";
import { builtInPlugins } from "../../packages/gateway/src/plugins/index.ts";
import { PluginRegistry } from "../../packages/gateway/src/plugins/plugin-registry.ts";
import { liveSpec } from "../../packages/gateway/src/plugins/shadow-specs.ts";
import { createScheduling } from "../../packages/gateway/src/stages/scheduling/create-scheduling.ts";
import { createMetrics } from "../../packages/gateway/src/telemetry/index.ts";
import {
  forwardRequest,
  PlainPool,
  relayPayload,
} from "../../packages/gateway/test/support/forward-fixture.ts";

const perSecond = 5_000;
const turnMs = 5;
const seconds = 2;
const rounds = 5;

const profile = (name: string, weights: readonly [number, number, number]) => ({
  name,
  filters: [],
  scorers: ["queue-scorer", "kv-cache-utilization-scorer", "prefix-cache-scorer"].map((plugin, index) => ({
    plugin,
    weight: weights[index] ?? 1,
  })),
  picker: "max-score-picker",
});

function specWith(shadows: number): SchedulingSpec {
  const types = [
    "queue-scorer",
    "kv-cache-utilization-scorer",
    "prefix-cache-scorer",
    "max-score-picker",
    "single-profile-handler",
  ];
  return {
    plugins: types.map((type) => ({ name: type, type, parameters: {} })),
    profiles: [profile("default", [2, 2, 3])],
    handler: "single-profile-handler",
    shadows: Array.from({ length: shadows }, (_, index) => profile(`shadow-${index}`, [1, 1, 1 + index])),
  };
}

const result: AttemptResult = {
  kind: "ok",
  status: 200,
  retryAfterMs: undefined,
  firstTokenMs: 1,
  durationMs: 1,
  usage: { promptTokens: 1_000, cachedTokens: 0, completionTokens: 100, estimated: false },
};
const headers = Object.fromEntries(
  Array.from({ length: 12 }, (_, index) => [`x-header-${index}`, `a value of usual length ${index}`]),
);
const log = (): void => undefined;
const logger = { error: log, warn: log, info: log, debug: log };

/** A pool whose decisions are watched, or not, by so many shadows. */
function setUp(endpoints: number, watched: boolean, shadows: number) {
  const spec = specWith(shadows);
  const clock = systemClock;
  const random = createSeededRandom(1);
  const metrics = createMetrics();
  const pool = new PlainPool(Array.from({ length: endpoints }, (_, n) => `http://127.0.0.1:${n + 1}`));
  for (const [n, { signals }] of pool.endpoints.entries())
    Object.assign(signals, { waiting: n % 4, kvUsage: n / endpoints, updatedAt: 1 });
  const options = { ...defaultHttpPool("chat", "openai", ["http://127.0.0.1:1"]), scheduling: spec };
  const context = { clock, logger, metrics, version: "0" };
  const watch = watched
    ? createPickerWatch({ config: { pools: [options] }, context, pools: () => [pool] })
    : undefined;
  const wired = createProfiles(liveSpec(spec), new PluginRegistry(builtInPlugins), { ...context, random });
  Object.assign(pool, { scheduling: watch?.observed("chat", wired) ?? wired });
  const scheduling = createScheduling({
    clock,
    defaultProfiles: () => wired,
    tracerOf: (each) => watch?.tracerOf(each),
  });
  const running: ForwardDecision[] = [];
  const prompts = Array.from({ length: 64 }, (_, n) => Buffer.from(`tenant ${n} `.repeat(400)));
  let next = 0;
  const decide = (): void => {
    const prompt = prompts[next % prompts.length] ?? Buffer.alloc(0);
    const payload = { ...relayPayload(), promptParts: () => [prompt, Buffer.from(`question ${next}`)] };
    const request = { ...forwardRequest({ payload }), id: `request-${next++}`, headers };
    const decision = scheduling.decide({ pool, model: "m" }, request);
    if (decision === undefined || isFailure(decision)) throw new Error("no place");
    running.push(decision);
    if (running.length <= 200) return;
    const ended = running.shift();
    ended?.lease.release(ended.endpoints[0], result);
    ended?.lease.settle("ok");
  };
  return { decide, watch };
}

/** Processor time of this thread for a decision, µs. */
async function measure({ decide }: ReturnType<typeof setUp>): Promise<number> {
  const before = process.threadCpuUsage();
  let done = 0;
  const startedAt = performance.now();
  while (performance.now() - startedAt < seconds * 1_000) {
    const due = Math.floor(((performance.now() - startedAt) / 1_000) * perSecond);
    for (; done < due; done++) decide();
    await new Promise((resolve) => setTimeout(resolve, turnMs));
  }
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / done;
}

for (const endpoints of [10, 100]) {
  const cases = [
    ["alone", setUp(endpoints, false, 0)],
    ["with metrics and explanations", setUp(endpoints, true, 0)],
    ["and one shadow", setUp(endpoints, true, 1)],
    ["and three shadows", setUp(endpoints, true, 3)],
  ] as const;
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  const costs = new Map<string, number[]>(cases.map(([name]) => [name, []]));
  for (let round = 0; round <= rounds; round++)
    for (const [name, rig] of cases) {
      const cost = await measure(rig);
      if (round > 0) costs.get(name)?.push(cost);
    }
  for (const [name, all] of costs) {
    const sorted = all.toSorted((a, b) => a - b);
    const median = sorted[sorted.length >> 1] ?? Number.NaN;
    console.log(
      `${endpoints} endpoints, ${name}: ${median.toFixed(1)} µs (${all.map((each) => each.toFixed(1)).join(" ")})`,
    );
  }
  for (const [, { watch }] of cases) {
    for (const { shadow, results, busyMs } of watch?.shadows.reports() ?? [])
      console.log(`  ${shadow}: ${JSON.stringify(results)}, ${Math.round(busyMs)} ms in its thread`);
    watch?.close();
  }
}
