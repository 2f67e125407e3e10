// Shadow profiles in their thread: they are compared with what is live, and change nothing for it, whatever they do.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test, type TestContext } from "node:test";
import { until } from "../../../../test/harness/until.ts";
import { forwardRequest, PlainPool, relayPayload } from "../../test/support/forward-fixture.ts";
import { loadPluginFile } from "../config/plugin-files.ts";
import type { AttemptResult, ForwardDecision } from "../contracts/http-endpoint.ts";
import type { SchedulingSpec } from "../contracts/plugins/scheduling.ts";
import type { ShadowReport } from "../contracts/shadows.ts";
import { systemClock } from "../core/clock.ts";
import { isFailure } from "../core/errors.ts";
import { createSeededRandom } from "../core/random.ts";
import { createProfiles } from "../plugins/create-profiles.ts";
import { builtInPlugins } from "../plugins/index.ts";
import { PluginRegistry } from "../plugins/plugin-registry.ts";
import { liveSpec, shadowSpecs } from "../plugins/shadow-specs.ts";
import { createScheduling } from "../stages/scheduling/create-scheduling.ts";
import { ShadowPool } from "../stages/scheduling/shadow-pool.ts";
import { defaultShadowLimits, type ShadowLimits } from "../stages/scheduling/shadow-thread.ts";
import { createMetrics } from "../telemetry/index.ts";

const plugins = `
import { parentPort } from "node:worker_threads";
import { definePlugin, z } from "spillway/plugin";
const scorer = (type, create) =>
  definePlugin({ type, kinds: ["scorer"], summary: type, parameters: z.strictObject({}), create });
const number = (text) => Math.abs(Math.sin([...text].reduce((sum, each) => (sum * 31 + each.charCodeAt(0)) % 9973, 7)));
const each = (candidates, scores, score) => {
  for (let i = 0; i < candidates.count; i++) scores[i] = score(candidates.endpoints[candidates.positions[i]]);
};
class Counting {
  counts = new Map();
  score(candidates, request, scores) { each(candidates, scores, ({ id }) => 1 / (1 + number(id) / 9 + (this.counts.get(id) ?? 0))); }
  dispatched(request, { id }) { this.counts.set(id, (this.counts.get(id) ?? 0) + 1); }
  ended(request, { id }) { this.counts.set(id, this.counts.get(id) - 1); }
}
export default [
  scorer("by-request", () => ({ score(candidates, request, scores) {
    each(candidates, scores, ({ address }) => number(request.id + request.headers["x-salt"] + address));
  } })),
  scorer("by-load", () => ({ score(candidates, request, scores) {
    each(candidates, scores, ({ load, signals, address }) => 1 / (1 + load.requests + signals.waiting + number(address)));
  } })),
  scorer("first", () => ({ score(candidates, request, scores) {
    each(candidates, scores, ({ id }) => (id === "chat/0" ? 1 : 0));
  } })),
  scorer("counting", () => new Counting()),
  scorer("throwing", () => ({ score() { throw new Error("thrown on purpose"); } })),
  scorer("hanging", () => ({ score() { for (;;) {} } })),
  scorer("failing", () => { throw new Error("not to be made"); }),
  scorer("leaving", () => ({ score() { process.exit(3); } })),
  scorer("later", () => ({ score() { setTimeout(() => { throw new Error("later"); }); } })),
  scorer("posting", () => ({ score() {
    parentPort.postMessage(null);
    parentPort.postMessage({ kind: "tallies", tallies: [{ shadow: "posting", agree: "many" }, 7] });
  } })),
  scorer("mutating", () => ({ score(candidates, request, scores) {
    for (const endpoint of candidates.endpoints) {
      endpoint.load.requests = 1e9;
      endpoint.signals.waiting = -5;
      endpoint.labels.spoilt = "yes";
      Object.freeze(endpoint.load);
      Object.freeze(endpoint);
    }
    request.headers["x-salt"] = "spoilt";
    request.data.length = 0;
    Object.freeze(request);
    scores.fill(1e9);
    candidates.endpoints.length = 0;
    candidates.positions.fill(0);
    candidates.keep(0);
  } })),
];
`;

const profile = (name: string, scorer: string) => ({
  name,
  filters: [],
  scorers: [{ plugin: scorer, weight: 1 }],
  picker: "max-score-picker",
});

/** A layer with one live scorer and a shadow for each further name. */
function specOf(live: string, shadows: readonly string[]): SchedulingSpec {
  const types = [...new Set([live, ...shadows]), "max-score-picker", "single-profile-handler"];
  return {
    plugins: types.map((type) => ({ name: type, type, parameters: {} })),
    profiles: [profile("default", live)],
    handler: "single-profile-handler",
    shadows: shadows.map((name) => profile(name, name)),
  };
}

const prefix = [
  { plugin: "prefix-cache-scorer", weight: 3 },
  { plugin: "by-load", weight: 1 },
];

/** Prefixes count in the shadow, and live where it is said. */
function prefixSpec(isLive: boolean): SchedulingSpec {
  const spec = specOf("by-load", ["by-prefix"]);
  const plugin = { name: "prefix-cache-scorer", type: "prefix-cache-scorer", parameters: {} };
  const [first] = spec.profiles;
  return {
    ...spec,
    plugins: [...spec.plugins.filter(({ name }) => name !== "by-prefix"), plugin],
    profiles: [isLive ? { ...first, scorers: prefix } : first],
    shadows: [{ ...profile("by-prefix", ""), scorers: prefix }],
  };
}

const quick: ShadowLimits = {
  ...defaultShadowLimits,
  lateMs: 300,
  backoffMs: { initial: 20, max: 100 },
  restMs: { initial: 300_000, max: 300_000 },
};

const result: AttemptResult = {
  kind: "ok",
  status: 200,
  retryAfterMs: undefined,
  firstTokenMs: 1,
  durationMs: 1,
  usage: { promptTokens: 10, cachedTokens: 0, completionTokens: 2, estimated: false },
};

/** A pool of six with live scheduling and its shadows; what it draws is the same each time. */
async function setUp(t: TestContext, spec: SchedulingSpec, limits: ShadowLimits = quick) {
  const folder = mkdtempSync(path.join(tmpdir(), "spillway-shadows-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, "plugins.mjs");
  writeFileSync(file, plugins);
  const { definitions, errors } = await loadPluginFile({ name: file, path: file });
  assert.deepEqual(errors, []);
  const clock = systemClock;
  const metrics = createMetrics();
  const log = (): void => undefined;
  const logger = { error: log, warn: log, info: log, debug: log };
  const registry = new PluginRegistry([...builtInPlugins, ...definitions]);
  const host = { clock, random: createSeededRandom(7), logger, metrics };
  const wired = createProfiles(liveSpec(spec), registry, host);
  const program = new URL("./shadow-program.ts", import.meta.url);
  const pluginFiles = [file];
  const shadows =
    spec.shadows.length === 0
      ? undefined
      : new ShadowPool({
          ...host,
          pool: "chat",
          shadows: shadowSpecs(spec),
          wired,
          program,
          pluginFiles,
          limits,
        });
  t.after(() => shadows?.close());
  const pool = new PlainPool(Array.from({ length: 6 }, (_, index) => `http://127.0.0.1:${index + 1}`));
  Object.assign(pool, { scheduling: shadows?.wired ?? wired });
  const faults: string[] = [];
  const scheduling = createScheduling({
    clock,
    defaultProfiles: () => wired,
    tracerOf: () => shadows?.tracer,
    onFault: (plugin) => void faults.push(plugin),
  });
  const random = createSeededRandom(11);
  const running: ForwardDecision[] = [];
  let next = 0;
  const end = (decision: ForwardDecision): void => {
    decision.lease.release(decision.endpoints[0], result);
    decision.lease.settle("ok");
  };
  /** One request gets its place, and perhaps another ends. Gives where it went. */
  const decide = (): string => {
    const text = Buffer.from(`tenant ${Math.floor(random.unit() * 5)}: ${"x".repeat(2_000)} ${next}`);
    const request = {
      ...forwardRequest({ payload: { ...relayPayload(), promptParts: () => [text] } }),
      id: `request-${next++}`,
      headers: { "x-salt": "salt", authorization: "Bearer secret" },
    };
    const decision = scheduling.decide({ pool, model: "m" }, request);
    assert.ok(decision !== undefined && !isFailure(decision));
    running.push(decision);
    if (running.length > 20 || random.unit() < 0.4) {
      const [ended] = running.splice(Math.floor(random.unit() * running.length), 1);
      if (ended !== undefined) end(ended);
    }
    return decision.endpoints[0].id;
  };
  /** Picks of many requests, with turns of the event loop between. */
  const decideMany = async (count: number): Promise<string[]> => {
    const picks: string[] = [];
    for (let i = 0; i < count; i++) {
      picks.push(decide());
      if (i % 25 === 24) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return picks;
  };
  const report = (name: string): ShadowReport => {
    const found = shadows?.reports().find(({ shadow }) => shadow === name);
    assert.ok(found !== undefined, name);
    return found;
  };
  const total = (name: string): number =>
    Object.values(report(name).results).reduce((sum, each) => sum + each, 0);
  const ready = (name: string): Promise<unknown> =>
    until(`${name} runs`, () => report(name).state === "running");
  const endAll = (): void => {
    for (const decision of running.splice(0)) end(decision);
    assert.deepEqual(
      pool.endpoints.map(({ load }) => load.requests),
      [0, 0, 0, 0, 0, 0],
    );
  };
  return { decide, decideMany, report, total, ready, endAll, pool, faults, metrics, shadows };
}

describe("a shadow is compared with the live choice", () => {
  test("agrees where it chooses alike, by the request, the load, and what became of requests", async (t) => {
    for (const name of ["by-request", "by-load", "counting"]) {
      const { decideMany, ready, report, total, pool, endAll } = await setUp(t, specOf(name, [name]));
      pool.endpoints.forEach(({ signals }, index) =>
        Object.assign(signals, { waiting: index, updatedAt: 1 }),
      );
      await ready(name);
      const before = report(name).results.dropped;
      const picks = await decideMany(500);
      assert.ok(new Set(picks).size > 1, name);
      await until(`${name} is compared`, () => total(name) === before + 500);
      assert.deepEqual(
        report(name).results,
        { agree: 500, disagree: 0, error: 0, late: 0, dropped: before },
        name,
      );
      endAll();
    }
  });

  test("disagreements are told with both choices, the margin and the explanation", async (t) => {
    const { decideMany, ready, report, total, metrics } = await setUp(t, specOf("by-request", ["first"]));
    await ready("first");
    const picks = await decideMany(300);
    const others = picks.filter((pick) => pick !== "chat/0").length;
    await until("all are compared", () => total("first") === 300);
    const { results, disagreements, promptTokensAhead, busyMs } = report("first");
    assert.deepEqual([results.agree, results.disagree], [300 - others, others]);
    const [last] = disagreements;
    assert.ok(last?.explanation !== undefined);
    assert.deepEqual([last.shadow, last.margin, last.live === "chat/0"], ["chat/0", 1, false]);
    assert.equal(last.explanation.profiles[0]?.profile, "first");
    assert.equal(last.explanation.profiles[0]?.endpoints.length, 6);
    assert.equal(last.live, picks[Number(last.id.split("-")[1])]);
    assert.ok(disagreements.length <= 32);
    assert.ok(promptTokensAhead.live >= 3_000 && busyMs > 0);
    assert.match(
      metrics.render(),
      new RegExp(
        `spillway_shadow_decisions_total\\{pool="chat",shadow="first",result="disagree"\\} ${others}\n`,
      ),
    );
  });

  test("agrees on cached prefixes by what the live producer has found", async (t) => {
    const { decideMany, ready, report, total, pool } = await setUp(t, prefixSpec(true));
    for (const [index, { signals }] of pool.endpoints.entries()) Object.assign(signals, { waiting: index });
    await ready("by-prefix");
    const picks = await decideMany(500);
    assert.ok(new Set(picks).size > 1);
    await until("all are compared", () => total("by-prefix") === 500);
    assert.equal(report("by-prefix").results.agree, 500);
  });

  test("reads prompts itself where nothing live does", async (t) => {
    const { decideMany, ready, report, total, pool } = await setUp(t, prefixSpec(false));
    for (const [index, { signals }] of pool.endpoints.entries()) Object.assign(signals, { waiting: index });
    await ready("by-prefix");
    await decideMany(500);
    await until("all are compared", () => total("by-prefix") === 500);
    const { results, disagreements, promptTokensAhead } = report("by-prefix");
    assert.ok(results.disagree > 20, JSON.stringify(results));
    const [best] = disagreements[0]?.explanation?.profiles[0]?.endpoints ?? [];
    assert.ok((best?.scores["prefix-cache-scorer"] ?? 0) > 0.5);
    assert.ok(promptTokensAhead.live > 0);
  });

  test("credentials do not go to the thread", async (t) => {
    const { decideMany, ready, total, shadows } = await setUp(t, specOf("by-request", ["first"]));
    await ready("first");
    await decideMany(20);
    await until("all are compared", () => total("first") === 20);
    assert.ok(!JSON.stringify(shadows?.reports()).includes("secret"));
  });
});

describe("traffic does not notice a shadow that", () => {
  const count = 1_500;
  for (const [name, works] of [
    ["throwing", "error"],
    ["hanging", "late"],
    ["mutating", "disagree"],
    ["leaving", "late"],
    ["later", undefined],
    ["posting", "agree"],
    ["failing", "dropped"],
  ] as const) {
    test(name, async (t) => {
      const alone = await setUp(t, specOf("by-load", []));
      const expected = await alone.decideMany(count);
      alone.endAll();
      // Only one that hangs is to be found late: on a busy machine any thread may stand still for a while.
      const limits = name === "hanging" ? quick : { ...quick, lateMs: 20_000 };
      const { decideMany, ready, report, endAll, faults, metrics } = await setUp(
        t,
        specOf("by-load", [name, "by-load"]),
        limits,
      );
      await ready("by-load");
      const picks = await decideMany(count);
      // The same picks from the same seed, and every place given back.
      assert.deepEqual(picks, expected);
      endAll();
      assert.deepEqual(faults, []);
      const restarted = 'spillway_shadow_thread_restarts_total{pool="chat",reason="crashed"}';
      await until(`${name}: ${works}`, () =>
        works === undefined ? metrics.render().includes(restarted) : report(name).results[works] > 0,
      );
      if (name === "throwing") assert.match(report(name).lastError ?? "", /thrown on purpose/);
      if (name === "failing") assert.match(report(name).lastError ?? "", /not to be made/);
      // Its neighbour goes on, in the next thread where this one broke.
      await ready("by-load");
      const before = report("by-load").results.agree;
      await until("the neighbour agrees again", async () => {
        await decideMany(25);
        return report("by-load").results.agree > before || undefined;
      });
    });
  }
});

test("what shadows cost a decision is bounded, also while they hang", async (t) => {
  const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
  /** The best of many turns of 25 decisions, µs a decision: what others do on the machine does not count. */
  const costOf = async ({ decide }: Awaited<ReturnType<typeof setUp>>): Promise<number> => {
    let best = Infinity;
    for (let i = 0; i < 100; i++) {
      const startedAt = performance.now();
      for (let k = 0; k < 25; k++) decide();
      best = Math.min(best, ((performance.now() - startedAt) / 25) * 1_000);
      await turn();
    }
    return best;
  };
  const alone = await costOf(await setUp(t, specOf("by-load", [])));
  const beside = await setUp(t, specOf("by-load", ["by-load", "hanging"]));
  await beside.ready("by-load");
  const with2 = await costOf(beside);
  // Measured: 5 µs more; a shadow that ran in the event loop would hang here.
  assert.ok(with2 < alone + 50, `${with2} µs beside shadows, ${alone} µs alone`);
});

test("a shadow that held the thread up rests, and comes back after a while", async (t) => {
  const limits = { ...quick, lateMs: 150, restMs: { initial: 500, max: 500 } };
  const { decideMany, ready, report } = await setUp(t, specOf("by-load", ["hanging", "by-load"]), limits);
  await ready("hanging");
  await until("it rests", async () => {
    await decideMany(5);
    return report("hanging").state === "resting" || undefined;
  });
  await until("it is back", async () => {
    await decideMany(5);
    return report("hanging").state !== "resting" || undefined;
  });
});

test("a thread with too much to do is told of no more than it can take", async (t) => {
  const limits = { ...quick, lateMs: 60_000, maxPendingBytes: 100_000 };
  const { decideMany, ready, report, total, endAll } = await setUp(t, specOf("by-load", ["hanging"]), limits);
  await ready("hanging");
  await decideMany(2_000);
  assert.equal(total("hanging"), report("hanging").results.dropped);
  assert.ok(report("hanging").results.dropped > 1_000);
  endAll();
});

test("plugins that only shadows name are not made beside traffic", () => {
  const spec = specOf("by-load", ["throwing"]);
  const names = (each: SchedulingSpec) => each.plugins.map(({ name }) => name);
  assert.deepEqual(names(liveSpec(spec)), ["by-load", "max-score-picker", "single-profile-handler"]);
  const [shadow] = shadowSpecs(spec);
  assert.deepEqual(shadow && names(shadow.spec), ["throwing", "max-score-picker", "shadow-handler"]);
  const plain = specOf("by-load", []);
  assert.equal(liveSpec(plain), plain);
});
