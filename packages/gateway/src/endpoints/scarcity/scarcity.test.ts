import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ScarcityReading } from "../../contracts/scarcity.ts";
import { createLoad, createSignals } from "../../core/server-signals.ts";
import { createManualClock } from "../../testing.ts";
import { createMetrics } from "../../index.ts";
import { parseExposition } from "../../../../../test/harness/exposition.ts";
import { LoadTrend } from "./load-trend.ts";
import { ModelScarcity, type ScarcitySample } from "./model-scarcity.ts";
import { measuredPool } from "./measured-pool.ts";
import { PoolScarcity, type MeasuredPool, type MeasuredServer } from "./pool-scarcity.ts";
import { RegimeSwitch } from "./regime-switch.ts";
import { ReplicaAdvice } from "./replica-advice.ts";
import { createScarcityGauges } from "./scarcity-metrics.ts";
import { fullnessOf } from "./server-fullness.ts";

/** Repeatable noise: uniform in [0, 1). */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 0x7f_ff_ff_ff;
    return state / 0x7f_ff_ff_ff;
  };
}

/** Normal, by twelve uniform ones. */
function normal(random: () => number): number {
  let sum = -6;
  for (let index = 0; index < 12; index++) sum += random();
  return sum;
}

const sample: ScarcitySample = {
  now: 0,
  saturation: 0,
  replicas: 4,
  inUse: 0,
  waiting: 0,
  roomOfOne: 10,
  answered: 0,
  oldestMs: 0,
};

/** Feeds a model for so long, four times a second, and counts how often its regime changed. */
function feed(
  model: ScarcityModel,
  seconds: number,
  at: (second: number) => Partial<ScarcitySample>,
): { readonly changes: number; readonly reading: ScarcityReading } {
  let changes = 0;
  const start = model.now;
  for (let step = 1; step <= seconds * 4; step++) {
    model.now = start + step * 250;
    const before = model.scarcity.regime;
    model.scarcity.sample({ ...sample, ...at(step / 4), now: model.now });
    if (model.scarcity.regime !== before) changes++;
  }
  return { changes, reading: model.scarcity.reading() };
}

interface ScarcityModel {
  readonly scarcity: ModelScarcity;
  now: number;
}

function createModel(): ScarcityModel {
  return { scarcity: new ModelScarcity("p", "m", 0), now: 0 };
}

describe("the regime", () => {
  test("follows the saturation up at once, and down with care", () => {
    const model = createModel();
    assert.equal(feed(model, 30, () => ({ saturation: 0.3 })).reading.regime, "plenty");
    assert.equal(feed(model, 4, () => ({ saturation: 0.8 })).reading.regime, "tight");
    const up = feed(model, 4, () => ({ saturation: 1.4 }));
    assert.equal(up.reading.regime, "scarce");
    const soon = feed(model, 9, () => ({ saturation: 0.3 }));
    assert.equal(soon.reading.regime, "scarce", "it stays for a while");
    assert.equal(feed(model, 6, () => ({ saturation: 0.3 })).reading.regime, "plenty", "in one step");
  });

  test("does not flap with noise around a threshold, wherever it lies", () => {
    for (const level of [0.5, 0.55, 0.6, 2 / 3, 0.7, 0.85, 0.9, 1, 1.05]) {
      const random = noise(Math.round(level * 1_000) + 7);
      const { changes } = feed(createModel(), 1_800, () => ({
        saturation: Math.max(0, level + 0.15 * normal(random)),
      }));
      assert.ok(changes <= 4, `${changes} changes in half an hour at ${level}`);
    }
  });

  test("a peak of less than half a second changes nothing; a switch that changes its mind on the way up waits no longer", () => {
    const { changes } = feed(createModel(), 60, (second) => ({ saturation: second % 20 === 0 ? 1.2 : 0.4 }));
    assert.equal(changes, 0);
    const regime = new RegimeSwitch(0);
    regime.update(0.7, 0);
    regime.update(1.2, 400);
    regime.update(1.2, 500);
    assert.deepEqual([regime.regime, regime.since], ["scarce", 500]);
  });

  test("servers that are not full are scarce all the same where requests wait long, or the line grows fast", () => {
    const answered = (second: number): number => Math.round(second * 10);
    const waiting = feed(createModel(), 30, (second) => ({
      saturation: 0.5,
      waiting: 40,
      oldestMs: 4_000,
      answered: answered(second),
    }));
    assert.equal(waiting.reading.regime, "scarce");
    assert.ok(Math.abs(waiting.reading.waitMs - 4_000) < 400, `${waiting.reading.waitMs} ms`);
    const growing = feed(createModel(), 30, (second) => ({
      saturation: 0.5,
      waiting: Math.round(second * 5),
      oldestMs: 500,
      answered: answered(second),
    }));
    assert.equal(growing.reading.regime, "scarce");
    assert.ok(Math.abs(growing.reading.growth - 5) < 0.5);
    const short = feed(createModel(), 60, (second) => ({
      saturation: 0.5,
      waiting: 2,
      oldestMs: 200,
      answered: answered(second),
    }));
    assert.equal(short.reading.regime, "plenty");
  });

  test("no server and somebody waits is scarce; no server and nobody waits is not", () => {
    const none = { replicas: 0, roomOfOne: 0 };
    assert.equal(feed(createModel(), 5, () => none).reading.regime, "plenty");
    const { reading } = feed(createModel(), 5, () => ({ ...none, waiting: 3, oldestMs: 1_000 }));
    assert.deepEqual(
      [reading.regime, reading.waitMs, reading.replicasWanted > 0],
      ["scarce", Infinity, true],
    );
  });
});

describe("the advice", () => {
  test("wants two thirds in use, what waits counted", () => {
    assert.equal(
      feed(createModel(), 90, () => ({ saturation: 0.66, inUse: 2.66 })).reading.replicasWanted,
      4,
    );
    assert.equal(feed(createModel(), 90, () => ({ saturation: 0.9, inUse: 3.6 })).reading.replicasWanted, 6);
    const backlog = feed(createModel(), 90, () => ({
      saturation: 2,
      inUse: 4,
      waiting: 20,
      oldestMs: 5_000,
    }));
    assert.equal(backlog.reading.replicasWanted, 8, "6 / (2/3) is 9, and no more than twice as many at once");
    const tolerated = feed(createModel(), 90, () => ({ saturation: 0.72, inUse: 2.9 }));
    assert.equal(tolerated.reading.replicasWanted, 4, "a tenth more changes nothing");
  });

  test("goes down after five minutes, to none after ten without work, and up from none", () => {
    const model = createModel();
    feed(model, 60, () => ({ saturation: 0.66, inUse: 2.66 }));
    assert.equal(feed(model, 280, () => ({ saturation: 0.2, inUse: 0.8 })).reading.replicasWanted, 4);
    assert.equal(feed(model, 120, () => ({ saturation: 0.2, inUse: 0.8 })).reading.replicasWanted, 2);
    assert.equal(feed(model, 400, () => ({})).reading.replicasWanted, 1);
    assert.equal(feed(model, 900, () => ({})).reading.replicasWanted, 0);
    const up = feed(model, 10, () => ({ replicas: 0, roomOfOne: 0, waiting: 1, oldestMs: 100 }));
    assert.equal(up.reading.replicasWanted, 1);
  });

  test("does not go to and fro with noise", () => {
    const random = noise(11);
    const advice = new ReplicaAdvice(0);
    let changes = 0;
    let last = 0;
    for (let second = 1; second <= 3_600; second++) {
      const wanted = advice.update(4.66 + 0.1 * normal(random), 4, second * 1_000);
      if (wanted !== last) changes++;
      last = wanted;
    }
    assert.ok(changes <= 60, `${changes} changes in an hour`);
    assert.ok(last === 7 || last === 8);
  });
});

describe("seconds to saturation", () => {
  test("are those of a straight line through noise", () => {
    const random = noise(3);
    const trend = new LoadTrend();
    for (let second = 0; second < 60; second++)
      trend.add(second * 1_000, 1 + 0.02 * second + 0.05 * normal(random));
    const seconds = trend.secondsTo(4);
    assert.ok(Math.abs(seconds - (4 - 2.18) / 0.02) < 25, `${seconds} s`);
    assert.equal(trend.secondsTo(1), 0);
  });

  test("are infinite where noise, a falling load, or too little is known", () => {
    const random = noise(5);
    let alarms = 0;
    const trend = new LoadTrend();
    for (let second = 0; second < 7_200; second++) {
      trend.add(second * 1_000, 2 + 0.3 * normal(random));
      if (trend.secondsTo(4) !== Infinity) alarms++;
    }
    assert.equal(alarms, 0);
    const falling = new LoadTrend();
    for (let second = 0; second < 60; second++) falling.add(second * 1_000, 3 - 0.02 * second);
    assert.equal(falling.secondsTo(4), Infinity);
    const young = new LoadTrend();
    for (let second = 0; second < 10; second++) young.add(second * 1_000, second);
    assert.equal(young.secondsTo(40), Infinity);
  });

  test("are told with the model, and 0 once its servers are full", () => {
    const model = createModel();
    const rising = feed(model, 60, (second) => ({
      saturation: 0.2 + second / 200,
      inUse: 0.8 + second / 50,
    }));
    const seconds = rising.reading.secondsToSaturation;
    assert.ok(Math.abs(seconds - 100) < 5, `${seconds} s`);
    assert.equal(feed(model, 10, () => ({ saturation: 1.2, inUse: 4 })).reading.secondsToSaturation, 0);
  });
});

function server(id: string, more: Partial<MeasuredServer> = {}): MeasuredServer {
  return {
    id: `p/${id}`,
    address: id,
    labels: {},
    signals: createSignals(),
    load: createLoad(),
    slot: 0,
    capacity: 10,
    speed: 0,
    state: "ready",
    answered: 0,
    isLoaded: () => true,
    ...more,
  };
}

describe("how full a server is", () => {
  test("the largest of what is under way, waits, and is kept; what is not told says nothing", () => {
    const full = (signals: object, requests = 0): number =>
      fullnessOf(
        server("a", { signals: { ...createSignals(), ...signals }, load: { ...createLoad(), requests } }),
      );
    assert.equal(full({}), 0);
    assert.equal(full({}, 5), 0.5);
    assert.equal(full({ waiting: 10, kvUsage: 0.4 }, 5), 2);
    assert.equal(full({ waiting: 0, kvUsage: 0.4 }), 0.5);
  });
});

describe("a pool", () => {
  function follow(servers: Record<string, MeasuredServer[]>, line: Record<string, number> = {}) {
    const clock = createManualClock();
    const pool: MeasuredPool = {
      name: "p",
      modelNames: () => Object.keys(servers),
      serversFor: (model) => servers[model] ?? [],
      lineFor: (model) => ({ waiting: line[model] ?? 0, oldestMs: (line[model] ?? 0) > 0 ? 3_000 : 0 }),
    };
    const scarcity = new PoolScarcity(pool, clock);
    scarcity.start();
    return { clock, scarcity };
  }

  test("its models are judged apart, servers that cannot be asked are none", () => {
    const busy = { load: { ...createLoad(), requests: 10 } };
    const servers = {
      hot: [server("a", busy), server("b", busy), server("c", { state: "unhealthy" })],
      cold: [server("d")],
    };
    const { clock, scarcity } = follow(servers);
    clock.advance(20_000);
    assert.deepEqual(
      [scarcity.regimeOf("hot"), scarcity.regimeOf("cold"), scarcity.regimeOf("x")],
      ["scarce", "plenty", "plenty"],
    );
    const [hot] = scarcity.readings();
    assert.deepEqual([hot?.replicas, hot?.replicasWanted], [2, 3]);
    assert.ok(Math.abs((hot?.saturation ?? 0) - 1) < 0.01);
    scarcity.close();
    assert.equal(clock.dueInMs(), undefined);
  });

  test("its servers are as full as the configured signal says; where that cannot say, as the usual one does", () => {
    const clock = createManualClock();
    const told = new Map([["a", 0.9]]);
    const scarcity = new PoolScarcity(
      measuredPool(
        {
          name: "p",
          takesAny: true,
          gate: { fullnessOf: ({ id }) => told.get(id.slice("p/".length)) },
          line: { length: 0, oldestAt: undefined },
          models: () => [],
          endpointsFor: () => [server("a"), server("b", { load: { ...createLoad(), requests: 5 } })],
        },
        clock,
      ),
      clock,
    );
    scarcity.start();
    clock.advance(10_000);
    assert.ok(Math.abs((scarcity.readings()[0]?.saturation ?? 0) - 0.7) < 0.01);
    told.set("b", 1.3);
    clock.advance(10_000);
    assert.equal(scarcity.regimeOf("m"), "scarce");
    scarcity.close();
  });

  test("a large server weighs more than a small one", () => {
    const large = server("a", { capacity: 90, load: { ...createLoad(), requests: 0 } });
    const small = server("b", { capacity: 10, load: { ...createLoad(), requests: 10 } });
    const { clock, scarcity } = follow({ m: [large, small] });
    clock.advance(10_000);
    assert.ok(Math.abs((scarcity.readings()[0]?.saturation ?? 0) - 0.1) < 0.01);
  });

  test("every model of a pool that takes any is one; a model that goes is forgotten, in the metrics too", () => {
    const servers: Record<string, MeasuredServer[]> = {
      "*": [server("a", { load: { ...createLoad(), requests: 12 } })],
    };
    const { clock, scarcity } = follow(servers, { "*": 7 });
    const metrics = createMetrics();
    const gauges = createScarcityGauges(metrics);
    gauges.add(scarcity);
    clock.advance(10_000);
    assert.equal(scarcity.regimeOf("whatever"), "scarce");
    const families = parseExposition(metrics.render());
    const of = (series: string): number | undefined =>
      [...families.values()].map(({ samples }) => samples.get(series)).find((value) => value !== undefined);
    assert.equal(of('spillway_model_scarcity{pool="p",model="*",regime="scarce"}'), 1);
    assert.equal(of('spillway_model_scarcity{pool="p",model="*",regime="plenty"}'), 0);
    assert.equal(of('spillway_model_waiting_requests{pool="p",model="*"}'), 7);
    assert.equal(of('spillway_model_replicas_wanted{pool="p",model="*"}'), 3);
    assert.match(JSON.stringify(scarcity.inspect()), /"regime":"scarce"/);
    delete servers["*"];
    clock.advance(250);
    assert.equal(metrics.render(), "");
    gauges.remove(scarcity);
  });

  test("more models than are followed are plentiful", () => {
    const many = Object.fromEntries(
      Array.from({ length: 100 }, (_, index) => [`m${index}`, [server(`${index}`)]]),
    );
    const { clock, scarcity } = follow(many);
    clock.advance(250);
    assert.equal(scarcity.readings().length, 64);
    assert.equal(scarcity.regimeOf("m99"), "plenty");
  });
});

describe("a simulated fleet of four servers with eight places each", () => {
  /** Requests come at random and take a second on average; a server begins what waits when a place comes free. */
  function simulate(seconds: number, perSecond: (second: number) => number) {
    const random = noise(17);
    const clock = createManualClock();
    const servers = Array.from({ length: 4 }, (_, index) => ({
      ...server(`${index}`, { capacity: 8 }),
      answered: 0,
      load: createLoad(),
    }));
    let inLine = 0;
    const scarcity = new PoolScarcity(
      {
        name: "p",
        modelNames: () => ["m"],
        serversFor: () => servers,
        lineFor: () => ({ waiting: inLine, oldestMs: inLine > 0 ? (inLine / 32) * 1_000 : 0 }),
      },
      clock,
    );
    scarcity.start();
    const regimes: string[] = [];
    const stepMs = 10;
    for (let ms = 0; ms < seconds * 1_000; ms += stepMs) {
      for (const each of servers) {
        for (let place = each.load.requests; place > 0; place--) {
          if (random() >= stepMs / 1_000) continue;
          each.load.requests--;
          each.answered++;
        }
      }
      if (random() < (perSecond(ms / 1_000) * stepMs) / 1_000) inLine++;
      for (const each of servers.toSorted((a, b) => a.load.requests - b.load.requests)) {
        if (inLine === 0 || each.load.requests >= 8) continue;
        each.load.requests++;
        inLine--;
      }
      clock.advance(stepMs);
      regimes.push(scarcity.regimeOf("m"));
    }
    const changes = regimes.filter((regime, index) => index > 0 && regime !== regimes[index - 1]).length;
    const at = (second: number): string | undefined => regimes[Math.round((second * 1_000) / stepMs)];
    return { changes, at, reading: scarcity.readings()[0] };
  }

  test("10 requests a second are plenty, 24 are tight, 40 are scarce: each without flapping", () => {
    const quiet = simulate(300, () => 10);
    assert.deepEqual([quiet.changes, quiet.at(299)], [0, "plenty"]);
    const tight = simulate(300, () => 24);
    assert.equal(tight.at(200), "tight");
    assert.ok(tight.changes <= 3, `${tight.changes} changes`);
    const scarce = simulate(300, () => 40);
    assert.equal(scarce.at(30), "scarce");
    assert.ok(scarce.changes <= 2, `${scarce.changes} changes`);
    assert.ok((scarce.reading?.replicasWanted ?? 0) >= 7);
  });

  test("a rush is noticed within seconds, and its end after a while", () => {
    const { at } = simulate(260, (second) => (second > 60 && second < 120 ? 60 : 8));
    assert.equal(at(59), "plenty");
    assert.equal(at(66), "scarce");
    assert.equal(at(259), "plenty", "what had piled up is done at 190 s");
  });
});
