// What filters leave.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { keptBy, makePlugin } from "../../../test/support/plugin-fixture.ts";
import { plainServer, scheduledRequest } from "../../../test/support/scheduling-fixture.ts";
import { inflightTokensKey, prefixMatchKey, tokenCountKey } from "../../contracts/plugins/data-keys.ts";
import type { Filter, ScheduledRequest } from "../../contracts/plugins/scheduling.ts";

const request = scheduledRequest();

function labelled(...labels: Record<string, string>[]) {
  return labels.map((each, index) => plainServer(index, { labels: each }));
}

describe("label-selector-filter", () => {
  const servers = labelled({ app: "a", tier: "fast" }, { app: "a" }, { app: "b", tier: "slow" }, {});
  const cases: [selector: Record<string, unknown>, left: number[]][] = [
    [{}, [0, 1, 2, 3]],
    [{ matchLabels: { app: "a" } }, [0, 1]],
    [{ matchLabels: { app: "a", tier: "fast" } }, [0]],
    [{ matchExpressions: [{ key: "app", operator: "In", values: ["a", "b"] }] }, [0, 1, 2]],
    [{ matchExpressions: [{ key: "app", operator: "NotIn", values: ["a"] }] }, [2, 3]],
    [{ matchExpressions: [{ key: "tier", operator: "Exists" }] }, [0, 2]],
    [{ matchExpressions: [{ key: "tier", operator: "DoesNotExist" }] }, [1, 3]],
    [{ matchLabels: { app: "a" }, matchExpressions: [{ key: "tier", operator: "DoesNotExist" }] }, [1]],
    [{ matchLabels: { toString: "a" } }, []],
  ];
  for (const [parameters, left] of cases) {
    test(JSON.stringify(parameters), () => {
      assert.deepEqual(
        keptBy(makePlugin<Filter>("label-selector-filter", { parameters }), servers, request),
        left,
      );
    });
  }

  test("refuses what Kubernetes refuses", () => {
    for (const expression of [
      { key: "app", operator: "In", values: [] },
      { key: "app", operator: "Exists", values: ["a"] },
      { key: "app", operator: "Like", values: ["a"] },
      { operator: "Exists" },
    ]) {
      const parameters = { matchExpressions: [expression] };
      assert.throws(() => makePlugin("label-selector-filter", { parameters }), JSON.stringify(expression));
    }
  });
});

test("by-label takes some values, and endpoints without the label where it is told to", () => {
  const servers = labelled({ app: "a" }, { app: "b" }, {});
  const left = (parameters: Record<string, unknown>) =>
    keptBy(makePlugin<Filter>("by-label", { parameters }), servers, request);
  assert.deepEqual(left({ label: "app", validValues: ["b"] }), [1]);
  assert.deepEqual(left({ label: "app", validValues: ["b"], allowsNoLabel: true }), [1, 2]);
  assert.deepEqual(left({ label: "app", allowsNoLabel: true }), [2]);
  assert.throws(() => left({ label: "app" }), /nothing would pass/);
});

test("role filters", () => {
  const roles = [
    "prefill",
    "decode",
    "encode",
    "prefill-decode",
    "encode-prefill",
    "encode-prefill-decode",
    "both",
    "none",
  ];
  const servers = labelled(...roles.map((role) => ({ "llm-d.ai/role": role })), {});
  const left = (type: string) =>
    keptBy(makePlugin<Filter>(type), servers, request).map((index) => roles[index] ?? "unlabelled");
  assert.deepEqual(left("prefill-filter"), [
    "prefill",
    "prefill-decode",
    "encode-prefill",
    "encode-prefill-decode",
    "both",
  ]);
  assert.deepEqual(left("decode-filter"), [
    "decode",
    "prefill-decode",
    "encode-prefill-decode",
    "both",
    "unlabelled",
  ]);
  assert.deepEqual(left("encode-filter"), ["encode", "encode-prefill", "encode-prefill-decode"]);
});

test("context-length-aware leaves ranges that have the length, and endpoints without one", () => {
  const key = "llm-d.ai/context-length-range";
  const servers = labelled({ [key]: "0-1000" }, { [key]: "1000-2000,5000-6000" }, {}, { [key]: "7000-8000" });
  const asking = (promptTokens: number): ScheduledRequest => ({ ...request, data: [{ promptTokens }] });
  const make = (enableFiltering: boolean) =>
    makePlugin<Filter>("context-length-aware", { parameters: { enableFiltering }, keys: [tokenCountKey] });
  assert.deepEqual(keptBy(make(true), servers, asking(1_000)), [0, 1, 2]);
  assert.deepEqual(keptBy(make(true), servers, asking(5_500)), [1, 2]);
  assert.deepEqual(keptBy(make(false), servers, asking(5_500)), [0, 1, 2, 3]);
});

describe("utilization-filter", () => {
  const servers = [
    plainServer(0, { signals: { waiting: 0, kvUsage: 0.9 }, load: { requests: 1 } }),
    plainServer(1, { signals: { waiting: 5, kvUsage: 0.1, running: 9 } }),
    plainServer(2),
  ];
  const left = (parameters: Record<string, unknown>) =>
    keptBy(makePlugin<Filter>("utilization-filter", { parameters }), servers, request);

  test("asks that all conditions hold; what is not told holds", () => {
    assert.deepEqual(left({ conditions: [{ metric: "waiting-queue", maxValue: 4 }] }), [0, 2]);
    assert.deepEqual(left({ conditions: [{ metric: "running-requests", maxValue: 9 }] }), [0, 1, 2]);
    assert.deepEqual(left({ conditions: [{ metric: "active-requests", maxValue: 0 }] }), [1, 2]);
    const both = [
      { metric: "waiting-queue", maxValue: 4 },
      { metric: "kv-cache-utilization", maxValue: 0.8 },
    ];
    assert.deepEqual(left({ conditions: both }), [2]);
  });

  test("leaves nobody, or all where it is told to", () => {
    const conditions = [{ metric: "active-requests", maxValue: 0 }];
    const busy = [servers[0] ?? assert.fail()];
    const make = (fallbackOnEmpty: boolean) =>
      makePlugin<Filter>("utilization-filter", { parameters: { conditions, fallbackOnEmpty } });
    assert.deepEqual(keptBy(make(false), busy, request), []);
    assert.deepEqual(keptBy(make(true), busy, request), [0]);
  });

  test("reads only what it names", () => {
    assert.throws(() => left({ conditions: [{ metric: "temperature", maxValue: 1 }] }));
    assert.throws(() => left({ conditions: [] }));
  });
});

test("header-based-testing-filter leaves the addresses that the header names", () => {
  const filter = makePlugin<Filter>("header-based-testing-filter");
  const servers = ["10.0.0.1:8000", "10.0.0.1:8001", "10.0.0.2:8000"].map((address, index) =>
    plainServer(index, { address }),
  );
  const asking = (value: string) => scheduledRequest({ headers: { "test-epp-endpoint-selection": value } });
  assert.deepEqual(keptBy(filter, servers, asking("10.0.0.1:8001, 10.0.0.2")), [1, 2]);
  assert.deepEqual(keptBy(filter, servers, asking("10.0.0.1")), [0, 1]);
  assert.deepEqual(keptBy(filter, servers, asking("10.9.9.9")), []);
  assert.deepEqual(keptBy(filter, servers, asking(" ")), [0, 1, 2]);
  assert.deepEqual(keptBy(filter, servers, request), [0, 1, 2]);
});

describe("prefix-cache-affinity-filter", () => {
  const servers = [0, 1, 2].map((index) => plainServer(index));
  const asking = (matched: number[], underWay: number[], total = 10): ScheduledRequest => ({
    ...request,
    data: [
      { matched: Int32Array.from(matched), longest: Math.max(...matched), total, blockTokens: 64 },
      { underWay: Float64Array.from(underWay), own: new Float64Array(3), outputTokens: 0 },
    ],
  });
  const make = (parameters: Record<string, unknown> = {}, unit = 0.5) =>
    makePlugin<Filter>("prefix-cache-affinity-filter", {
      parameters,
      keys: [prefixMatchKey, inflightTokensKey],
      random: { unit: () => unit, id: () => "" },
    });

  test("leaves those that have 80 % of the prompt", () => {
    assert.deepEqual(keptBy(make(), servers, asking([8, 7, 10], [0, 0, 0])), [0, 2]);
    assert.deepEqual(keptBy(make({ affinityThreshold: 0.9 }), servers, asking([8, 7, 10], [0, 0, 0])), [2]);
  });

  test("leaves all where none has it, and of a prompt that is not known", () => {
    assert.deepEqual(keptBy(make(), servers, asking([7, 7, 0], [0, 0, 0])), [0, 1, 2]);
    assert.deepEqual(keptBy(make(), servers, asking([0, 0, 0], [0, 0, 0], 0)), [0, 1, 2]);
  });

  test("leaves all where the first token would take more than 18 s longer", () => {
    const tokens = 15_928 * 18;
    assert.deepEqual(keptBy(make(), servers, asking([10, 0, 0], [tokens, 0, 5_000])), [0]);
    assert.deepEqual(keptBy(make(), servers, asking([10, 0, 0], [tokens + 1, 0, 5_000])), [0, 1, 2]);
    assert.deepEqual(keptBy(make(), servers, asking([10, 0, 0], [tokens + 1, 1, 5_000])), [0]);
    const quick = make({ maxTTFTPenaltyMs: 100, peakPrefillThroughput: 1_000 });
    assert.deepEqual(keptBy(quick, servers, asking([10, 10, 0], [500, 101, 0])), [0, 1, 2]);
    assert.deepEqual(keptBy(quick, servers, asking([10, 10, 0], [500, 100, 0])), [0, 1]);
  });

  test("explores where chance says so", () => {
    assert.deepEqual(
      keptBy(make({ explorationProbability: 0.6 }), servers, asking([10, 0, 0], [0, 0, 0])),
      [0, 1, 2],
    );
    assert.deepEqual(
      keptBy(make({ explorationProbability: 0.4 }), servers, asking([10, 0, 0], [0, 0, 0])),
      [0],
    );
  });

  test("has no predictor of latencies", () => {
    assert.throws(() => make({ ttftSource: "latencyPredictor" }), /ttftSource/);
  });
});

test("loaded-model-filter leaves servers with the model in memory, or all", () => {
  const filter = makePlugin<Filter>("loaded-model-filter");
  const servers = [false, true, true].map((loaded, index) => plainServer(index, { loaded }));
  assert.deepEqual(keptBy(filter, servers, request), [1, 2]);
  assert.deepEqual(keptBy(filter, servers.slice(0, 1), request), [0]);
});
