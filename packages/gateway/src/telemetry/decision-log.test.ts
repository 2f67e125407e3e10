// Decisions are kept as numbers and told in words.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PlainPool } from "../../test/support/forward-fixture.ts";
import type { Candidates, CycleTracer, ScheduledRequest } from "../contracts/plugins/scheduling.ts";
import { createManualClock } from "../testing.ts";
import { DecisionLog } from "./decision-log.ts";

/** Candidates as the engine has them. */
function fieldOf(pool: PlainPool): Candidates & { positions: Int32Array; count: number } {
  const { endpoints } = pool;
  return {
    endpoints,
    positions: Int32Array.from(endpoints.keys()),
    count: endpoints.length,
    keep: () => undefined,
  };
}

const request = (id: string) => ({ id, model: "m" }) as ScheduledRequest;

/** A cycle of four endpoints, of which a filter takes the second out. */
function run(tracer: CycleTracer, pool: PlainPool, id: string): void {
  const field = fieldOf(pool);
  tracer.begin(request(id), field);
  tracer.profile("default");
  field.positions.set([0, 2, 3]);
  field.count = 3;
  tracer.filtered("label-filter", field);
  tracer.scored("queue", 2, field, Float64Array.of(0.5, 1, 0));
  tracer.scored("prefix", 3, field, Float64Array.of(1, 0, 0.25));
  tracer.picked(field, Float64Array.of(4, 2, 0.75), Int32Array.of(0, 2), 2);
  const [first, , third] = pool.endpoints;
  tracer.end(request(id), first === undefined || third === undefined ? [] : [first, third]);
}

function setUp(servers = 4, bounds: { readonly cycles?: number; readonly numbers?: number } = {}) {
  const pool = new PlainPool(Array.from({ length: servers }, (_, index) => `http://127.0.0.1:${index + 1}`));
  const clock = createManualClock();
  const log = new DecisionLog({ clock, ...bounds });
  return { pool, clock, log, tracer: log.tracer("chat") };
}

test("a decision tells who was filtered by what, the scores, the totals and the margin", () => {
  const { pool, clock, log, tracer } = setUp();
  const [first] = pool.endpoints;
  assert.ok(first !== undefined);
  Object.assign(first.signals, { waiting: 3, kvUsage: 0.25 });
  first.load.requests = 7;
  run(tracer, pool, "a");
  const [cycle, ...others] = log.cyclesOf("a");
  assert.deepEqual(others, []);
  const facts = { waiting: undefined, running: undefined, kvUsage: undefined, underWay: 0 };
  assert.deepEqual(cycle, {
    pool: "chat",
    model: "m",
    at: clock.wallNow(),
    profiles: [
      {
        profile: "default",
        scorers: [
          { name: "queue", weight: 2 },
          { name: "prefix", weight: 3 },
        ],
        endpoints: [
          {
            endpoint: "chat/0",
            ...facts,
            waiting: 3,
            kvUsage: 0.25,
            underWay: 7,
            filteredBy: undefined,
            scores: { queue: 0.5, prefix: 1 },
            total: 4,
          },
          { endpoint: "chat/2", ...facts, filteredBy: undefined, scores: { queue: 1, prefix: 0 }, total: 2 },
          {
            endpoint: "chat/3",
            ...facts,
            filteredBy: undefined,
            scores: { queue: 0, prefix: 0.25 },
            total: 0.75,
          },
          { endpoint: "chat/1", ...facts, filteredBy: "label-filter", scores: {}, total: undefined },
        ],
        picked: ["chat/0", "chat/2"],
        margin: 2,
      },
    ],
    chosen: ["chat/0", "chat/2"],
  });
});

test("a refused request tells the filters that left nobody", () => {
  const { pool, log, tracer } = setUp(2);
  const field = fieldOf(pool);
  tracer.begin(request("a"), field);
  tracer.profile("default");
  field.count = 0;
  tracer.filtered("strict", field);
  tracer.picked(field, new Float64Array(0), new Int32Array(0), 0);
  tracer.end(request("a"), []);
  const [cycle] = log.cyclesOf("a");
  assert.deepEqual(cycle?.chosen, []);
  assert.deepEqual(
    cycle?.profiles[0]?.endpoints.map(({ filteredBy }) => filteredBy),
    ["strict", "strict"],
  );
  assert.equal(cycle?.profiles[0]?.margin, undefined);
});

describe("what is kept is bounded", () => {
  test("in cycles: the eldest make room", () => {
    const { pool, log, tracer } = setUp(4, { cycles: 3 });
    for (const id of ["a", "b", "c", "d", "d"]) run(tracer, pool, id);
    assert.deepEqual(
      ["a", "b", "c", "d"].map((id) => log.cyclesOf(id).length),
      [0, 0, 1, 2],
    );
  });

  test("in numbers: what was overwritten is not told", () => {
    const { pool, log, tracer } = setUp(4, { numbers: 700 });
    const ids = Array.from({ length: 60 }, (_, index) => `r${index}`);
    for (const [index, id] of ids.entries()) {
      run(tracer, pool, id);
      const kept = ids.slice(0, index + 1).filter((each) => log.cyclesOf(each).length > 0);
      // The last ones without a gap, and each of them whole.
      assert.deepEqual(kept, ids.slice(index + 1 - kept.length, index + 1));
      assert.ok(kept.length >= Math.min(index + 1, 9), `${kept.length} kept`);
      for (const each of kept) {
        const [cycle] = log.cyclesOf(each);
        assert.deepEqual([cycle?.chosen, cycle?.profiles[0]?.margin], [["chat/0", "chat/2"], 2]);
      }
    }
  });

  test("a cycle that is too large is left out, the others stay", () => {
    const { pool, log, tracer } = setUp(4, { numbers: 700 });
    run(tracer, pool, "small");
    const large = new PlainPool(Array.from({ length: 100 }, (_, index) => `http://127.0.0.1:${index + 1}`));
    run(tracer, large, "large");
    run(tracer, pool, "next");
    assert.deepEqual(
      ["small", "large", "next"].map((id) => log.cyclesOf(id).length),
      [1, 0, 1],
    );
  });

  test("more steps than ever before cut the first such cycle short, not the next", () => {
    const { pool, log, tracer } = setUp(4);
    for (const id of ["a", "b"]) {
      const field = fieldOf(pool);
      tracer.begin(request(id), field);
      for (let profile = 0; profile < 12; profile++) {
        tracer.profile(`p${profile}`);
        tracer.scored("queue", 1, field, new Float64Array(4));
        tracer.picked(field, new Float64Array(4), Int32Array.of(1), 1);
      }
      tracer.end(request(id), pool.endpoints.slice(1, 2));
    }
    const [first] = log.cyclesOf("a");
    const [second] = log.cyclesOf("b");
    assert.deepEqual(first?.chosen, ["chat/1"]);
    assert.ok((first?.profiles.length ?? 0) < 12);
    assert.equal(second?.profiles.length, 12);
  });
});

test("endpoints that changed places are told as they were", () => {
  const { pool, log, tracer } = setUp();
  run(tracer, pool, "a");
  pool.endpoints.reverse();
  run(tracer, pool, "b");
  assert.deepEqual(log.cyclesOf("a")[0]?.chosen, ["chat/0", "chat/2"]);
  assert.deepEqual(log.cyclesOf("b")[0]?.chosen, ["chat/3", "chat/1"]);
});
