// The formulas of scorers, with what servers do not tell and values that are all the same.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { candidatesOf, makePlugin, scoresOf } from "../../../test/support/plugin-fixture.ts";
import { plainServer, scheduledRequest } from "../../../test/support/scheduling-fixture.ts";
import type { ServerSignals } from "../../core/server-signals.ts";
import { inflightTokensKey, prefixMatchKey, tokenCountKey } from "../../contracts/plugins/data-keys.ts";
import type { RequestObserver, ScheduledRequest, Scorer } from "../../contracts/plugins/scheduling.ts";

const request = scheduledRequest();

function withSignals(...signals: Partial<ServerSignals>[]) {
  return candidatesOf(signals.map((each, index) => plainServer(index, { signals: each })));
}

function withData(value: unknown, more: Partial<ScheduledRequest> = {}): ScheduledRequest {
  return { ...scheduledRequest(), ...more, data: [value] };
}

for (const [type, signal] of [
  ["queue-scorer", "waiting"],
  ["running-requests-size-scorer", "running"],
] as const) {
  describe(type, () => {
    const scorer = makePlugin<Scorer>(type);
    const score = (...values: number[]) =>
      scoresOf(scorer, withSignals(...values.map((value) => ({ [signal]: value }))), request);

    test("is (max − x) / (max − min)", () => assert.deepEqual(score(2, 4, 10), [1, 0.75, 0]));
    test("is 1 where all are equal", () => assert.deepEqual(score(3, 3), [1, 1]));
    test("is 1 for a single one", () => assert.deepEqual(score(70), [1]));
    test("is 0 for one that does not tell", () => assert.deepEqual(score(2, Number.NaN, 4), [1, 0, 0]));
    test("is 0 for one that does not tell beside equals", () =>
      assert.deepEqual(score(5, Number.NaN, 5), [1, 0, 1]));
    test("is 1 where none tells", () => assert.deepEqual(score(Number.NaN, Number.NaN), [1, 1]));
    test("looks at those in the running only", () => {
      const servers = [100, 2, 4].map((value, index) => plainServer(index, { signals: { [signal]: value } }));
      assert.deepEqual(scoresOf(scorer, candidatesOf(servers, [1, 2]), request), [1, 0]);
    });
  });
}

test("kv-cache-utilization-scorer is what is free; 0 where it is not told", () => {
  const scorer = makePlugin<Scorer>("kv-cache-utilization-scorer");
  const candidates = withSignals({ kvUsage: 0 }, { kvUsage: 0.25 }, { kvUsage: 1 }, {});
  assert.deepEqual(scoresOf(scorer, candidates, request), [1, 0.75, 0, 0]);
});

test("lora-affinity-scorer: running 1, room 0.8, waiting 0.6, else 0", () => {
  const scorer = makePlugin<Scorer>("lora-affinity-scorer");
  const candidates = withSignals(
    { runningAdapters: ["other", "mine"], waitingAdapters: [], maxAdapters: 2 },
    { runningAdapters: ["other"], waitingAdapters: [], maxAdapters: 2 },
    { runningAdapters: ["other"], waitingAdapters: ["mine"], maxAdapters: 3 },
    { runningAdapters: ["other"], waitingAdapters: ["mine"], maxAdapters: 2 },
    { runningAdapters: ["a", "b"], waitingAdapters: ["c"], maxAdapters: 2 },
    {},
  );
  assert.deepEqual(
    scoresOf(scorer, candidates, scheduledRequest({ model: "mine" })),
    [1, 0.8, 0.8, 0.6, 0, 0],
  );
});

test("load-aware-scorer: 0.5 · (1 − min(q, T) / T)", () => {
  const candidates = withSignals({ waiting: 0 }, { waiting: 64 }, { waiting: 128 }, { waiting: 1_000 }, {});
  assert.deepEqual(
    scoresOf(makePlugin<Scorer>("load-aware-scorer"), candidates, request),
    [0.5, 0.25, 0, 0, 0],
  );
  const scorer = makePlugin<Scorer>("load-aware-scorer", { parameters: { threshold: 256 } });
  assert.deepEqual(scoresOf(scorer, candidates, request), [0.5, 0.375, 0.25, 0, 0]);
});

describe("active-request-scorer", () => {
  const loaded = (...requests: number[]) =>
    candidatesOf(requests.map((count, index) => plainServer(index, { load: { requests: count } })));

  test("is 1 for idle servers, else (max − c) / max · maxBusyScore", () => {
    const plain = makePlugin<Scorer>("active-request-scorer");
    assert.deepEqual(scoresOf(plain, loaded(0, 1, 3, 4), request), [1, 0.75, 0.25, 0]);
    assert.deepEqual(scoresOf(plain, loaded(0, 0), request), [1, 1]);
    const parameters = { idleThreshold: 1, maxBusyScore: 0.5, requestTimeout: "2m" };
    const tuned = makePlugin<Scorer>("active-request-scorer", { parameters });
    assert.deepEqual(scoresOf(tuned, loaded(0, 1, 2, 4), request), [1, 1, 0.25, 0]);
  });

  test("refuses a timeout that is no duration", () => {
    assert.throws(
      () => makePlugin("active-request-scorer", { parameters: { requestTimeout: "soon" } }),
      /expected a duration/,
    );
  });
});

test("token-load-scorer: 1 − min(t, T) / T with the request's own tokens", () => {
  const scorer = makePlugin<Scorer>("token-load-scorer", {
    keys: [inflightTokensKey],
    parameters: { queueThresholdTokens: 1_000 },
  });
  const data = {
    underWay: Float64Array.of(0, 500, 100, 2_000),
    own: Float64Array.of(100, 0, 400, 100),
    outputTokens: 0,
  };
  assert.deepEqual(scoresOf(scorer, withSignals({}, {}, {}, {}), withData(data)), [0.9, 0.5, 0.5, 0]);
});

test("prefix-cache-scorer: w · min(1, length / scale)² + (1 − w) · matched / total", () => {
  const data = { matched: Int32Array.of(0, 32, 128), longest: 128, total: 128, blockTokens: 64 };
  const plain = makePlugin<Scorer>("prefix-cache-scorer", { keys: [prefixMatchKey] });
  const three = withSignals({}, {}, {});
  assert.deepEqual(scoresOf(plain, three, withData(data)), [0, 0.25, 1]);
  const weighted = makePlugin<Scorer>("prefix-cache-scorer", {
    keys: [prefixMatchKey],
    parameters: { matchLengthWeight: 0.4, matchLengthScaleTokens: 4_096 },
  });
  assert.deepEqual(scoresOf(weighted, three, withData(data)), [0, 0.4 * 0.25 + 0.6 * 0.25, 1]);
  const unknown = { matched: new Int32Array(3), longest: 0, total: 0, blockTokens: 64 };
  assert.deepEqual(scoresOf(plain, three, withData(unknown)), [0, 0, 0]);
});

describe("no-hit-lru-scorer", () => {
  const cold = { matched: new Int32Array(4), longest: 0, total: 5, blockTokens: 64 };
  const servers = Array.from({ length: 4 }, (_, index) => plainServer(index));
  const make = (lruSize = 1_024) =>
    makePlugin<Scorer & Required<Pick<RequestObserver, "dispatched" | "forgotten">>>("no-hit-lru-scorer", {
      keys: [prefixMatchKey],
      parameters: { lruSize },
    });
  const scoreAll = (scorer: Scorer, data: unknown = cold) =>
    scoresOf(scorer, candidatesOf(servers), withData(data));
  const third = Number((1 / 3).toFixed(9));
  const twoThirds = Number((2 / 3).toFixed(9));

  test("ranks servers that were never used, then those used longest ago", () => {
    const scorer = make();
    assert.deepEqual(scoreAll(scorer), [1, twoThirds, third, 0]);
    for (const slot of [0, 2, 0]) scorer.dispatched(withData(cold), servers[slot] ?? assert.fail());
    assert.deepEqual(scoreAll(scorer), [0, 1, third, twoThirds]);
  });

  test("says nothing where any candidate has some of the prompt", () => {
    const hit = { ...cold, matched: Int32Array.of(0, 0, 1, 0), longest: 1 };
    const scorer = make();
    assert.deepEqual(scoreAll(scorer, hit), [0.5, 0.5, 0.5, 0.5]);
    const others = candidatesOf(servers, [0, 1]);
    assert.deepEqual(scoresOf(scorer, others, withData(hit)), [1, 0]);
    scorer.dispatched(withData(hit), servers[0] ?? assert.fail());
    assert.deepEqual(scoreAll(scorer), [1, twoThirds, third, 0]);
  });

  test("keeps so many and forgets who is gone", () => {
    const scorer = make(2);
    for (const server of servers) scorer.dispatched(withData(cold), server);
    assert.deepEqual(scoreAll(scorer), [1, twoThirds, third, 0]);
    scorer.forgotten(servers[3] ?? assert.fail());
    assert.deepEqual(scoreAll(scorer), [1, twoThirds, 0, third]);
  });

  test("is 1 for a single one", () => {
    assert.deepEqual(scoresOf(make(), candidatesOf(servers, [2]), withData(cold)), [1]);
  });
});

test("header-label-affinity-scorer: 1 where the label is what the header says", () => {
  const scorer = makePlugin<Scorer>("header-label-affinity-scorer", {
    parameters: { headerName: "X-Zone", labelKey: "zone" },
  });
  const servers = [{ zone: "a" }, { zone: "b" }, {}].map((labels, index) => plainServer(index, { labels }));
  const asking = (zone?: string) =>
    scheduledRequest({ headers: zone === undefined ? {} : { "x-zone": zone } });
  assert.deepEqual(scoresOf(scorer, candidatesOf(servers), asking("b")), [0, 1, 0]);
  assert.deepEqual(scoresOf(scorer, candidatesOf(servers), asking()), [0, 0, 0]);
  assert.throws(() => makePlugin("header-label-affinity-scorer"), /headerName/);
});

test("context-length-aware: within 0.3 and more, narrow ranges first; outside below 0.3; 0.5 without a label", () => {
  const scorer = makePlugin<Scorer>("context-length-aware", { keys: [tokenCountKey] });
  const key = "llm-d.ai/context-length-range";
  const servers = ["0-2000", "0-8000", "2000-4000,0-1000", "4000-8000", "what?", undefined].map(
    (text, index) => plainServer(index, { labels: text === undefined ? {} : { [key]: text } }),
  );
  const inRange = (width: number, headroom: number): number =>
    Number((0.3 + 0.7 * (0.7 / (1 + width / 10_000) + (0.3 * headroom) / width)).toFixed(9));
  assert.deepEqual(scoresOf(scorer, candidatesOf(servers), withData({ promptTokens: 1_500 })), [
    inRange(2_000, 500),
    inRange(8_000, 6_500),
    Number((0.3 / 1.5).toFixed(9)),
    Number((0.3 / 3.5).toFixed(9)),
    0.5,
    0.5,
  ]);
});

test("outstanding-work-scorer: the shortest time for the work by each server's; an unknown speed is the fastest", () => {
  const scorer = makePlugin<Scorer>("outstanding-work-scorer");
  const servers = [
    plainServer(0, { speed: 100, load: { requests: 1 } }),
    plainServer(1, { speed: 50 }),
    plainServer(2, { speed: 0, load: { requests: 0 } }),
    plainServer(3, { speed: 100, load: { requests: 3 } }),
  ];
  assert.deepEqual(scoresOf(scorer, candidatesOf(servers), request), [0.5, 0.5, 1, 0.25]);
  assert.deepEqual(scoresOf(scorer, candidatesOf([plainServer(0), plainServer(1)]), request), [1, 1]);
});
