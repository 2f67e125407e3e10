import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseExposition } from "../../../../test/harness/exposition.ts";
import { systemClock } from "../core/clock.ts";
import { createManualClock } from "../testing.ts";
import { createMetrics, type MetricRegistry } from "./metrics.ts";
import { exposeProcess } from "./process-metrics.ts";

const requests = { name: "requests_total", help: "Requests.", labels: ["model", "outcome"] };
const duration = { name: "duration_seconds", help: "Time.", labels: [], buckets: [0.1, 1, 10] };

function sample(metrics: MetricRegistry, series: string): number | undefined {
  const family = parseExposition(metrics.render()).values();
  return [...family].map(({ samples }) => samples.get(series)).find((value) => value !== undefined);
}

/** A registry with a bit of everything. */
function filled(): MetricRegistry {
  const metrics = createMetrics({ maxLabelSets: 3 });
  for (const model of ["iris", 'a "quoted"\\\nname', "ü", "four", "five"]) {
    metrics.counter(requests).with(model, "ok").value += 2;
  }
  metrics.gauge({ name: "ready", help: "Line one\nand \\ two.", labels: [] }).with().value = -0.5;
  const histogram = metrics.histogram({ ...duration, labels: ["model"] });
  for (const value of [0.05, 0.1, 5, 100, Number.NaN]) histogram.with("iris").observe(value);
  metrics.gauge({ name: "extremes", help: "Numbers.", labels: ["of"] }).with("large").value = 1e300;
  metrics.gauge({ name: "extremes", help: "Numbers.", labels: ["of"] }).with("infinite").value = Infinity;
  return metrics;
}

describe("exposition", () => {
  test("everything a strict reader asks for", () => {
    const families = parseExposition(filled().render());
    assert.deepEqual([...families.keys()], ["requests_total", "ready", "duration_seconds", "extremes"]);
    assert.equal(families.get("ready")?.help, "Line one\\nand \\\\ two.");
    const series = [...(families.get("requests_total")?.samples.keys() ?? [])];
    assert.equal(series[1], String.raw`requests_total{model="a \"quoted\"\\\nname",outcome="ok"}`);
  });

  test("a family without children is not written", () => {
    const metrics = createMetrics();
    metrics.counter(requests);
    assert.equal(metrics.render(), "");
    assert.deepEqual(
      metrics.families().map(({ name, type }) => [name, type]),
      [["requests_total", "counter"]],
    );
  });

  test("values are read at each exposition", () => {
    const metrics = createMetrics();
    const gauge = metrics.gauge({ name: "size", help: "Size.", labels: [] }).with();
    metrics.onCollect(() => gauge.value++);
    metrics.render();
    assert.equal(sample(metrics, "size"), 2);
  });
});

describe("aliases", () => {
  const aliased = {
    ...requests,
    labels: ["model", "tenant", "server"],
    aliases: [
      { name: "old_requests_total", labels: [["model_name", "model"]] as const },
      { name: "older_requests_total" },
    ],
  };

  test("are written from the family's numbers, added up over the labels they lack", () => {
    const metrics = createMetrics();
    const family = metrics.counter(aliased);
    family.with("a", "x", "1").value = 2;
    family.with("a", "y", "1").value = 3;
    family.with("b", "x", "2").value = 5;
    assert.equal(sample(metrics, 'old_requests_total{model_name="a"}'), 5);
    assert.equal(sample(metrics, 'old_requests_total{model_name="b"}'), 5);
    assert.equal(sample(metrics, 'older_requests_total{model="a",tenant="y",server="1"}'), 3);
    family.remove("b", "x", "2");
    assert.equal(sample(metrics, 'old_requests_total{model_name="b"}'), undefined);
    assert.equal(sample(metrics, 'requests_total{model="a",tenant="x",server="1"}'), 2);
  });

  test("of histograms have the buckets of all", () => {
    const metrics = createMetrics();
    const aliases = [{ name: "took_seconds", labels: [] }];
    const family = metrics.histogram({ ...duration, labels: ["tenant"], aliases });
    family.with("x").observe(0.05);
    family.with("y").observe(5);
    assert.equal(sample(metrics, 'took_seconds_bucket{le="0.1"}'), 1);
    assert.equal(sample(metrics, 'took_seconds_bucket{le="+Inf"}'), 2);
    assert.equal(sample(metrics, "took_seconds_sum"), 5.05);
    assert.equal(sample(metrics, 'duration_seconds_count{tenant="y"}'), 1);
  });

  test("beyond the bound of label sets, other is other", () => {
    const metrics = createMetrics();
    const family = metrics.counter({ ...aliased, maxLabelSets: 1 });
    for (const tenant of ["x", "y", "z"]) family.with("a", tenant, "1").value++;
    assert.equal(sample(metrics, 'old_requests_total{model_name="a"}'), 1);
    assert.equal(sample(metrics, 'old_requests_total{model_name="other"}'), 2);
  });

  test("that name what the family does not have are refused", () => {
    const wrong = { ...aliased, aliases: [{ name: "old_total", labels: [["model", "modle"]] as const }] };
    assert.throws(() => createMetrics().counter(wrong), /requests_total has no label modle/);
    assert.throws(() => createMetrics().counter({ ...aliased, aliases: [{ name: "old" }] }), /_total/);
  });
});

describe("label sets", () => {
  test("beyond the bound all share one labelled other", () => {
    const families = parseExposition(filled().render());
    const samples = families.get("requests_total")?.samples;
    assert.equal(samples?.size, 4);
    assert.equal(samples?.get('requests_total{model="other",outcome="other"}'), 4);
  });

  test("a removed one makes room and starts anew", () => {
    const metrics = createMetrics({ maxLabelSets: 1 });
    const family = metrics.counter(requests);
    family.with("iris", "ok").value = 7;
    family.remove("iris", "ok");
    family.with("digits", "ok").value = 1;
    family.with("iris", "ok").value++;
    assert.equal(sample(metrics, 'requests_total{model="digits",outcome="ok"}'), 1);
    assert.equal(sample(metrics, 'requests_total{model="iris",outcome="ok"}'), undefined);
    assert.equal(sample(metrics, 'requests_total{model="other",outcome="other"}'), 1);
  });

  test("values that would read alike when joined stay apart", () => {
    const family = createMetrics().counter(requests);
    assert.notEqual(family.with('a",outcome="b', "c"), family.with("a", 'b",outcome="c'));
  });

  test("the same definition gives the same child", () => {
    const metrics = createMetrics();
    assert.equal(metrics.counter(requests).with("a", "b"), metrics.counter(requests).with("a", "b"));
  });
});

describe("histograms", () => {
  test("a value on a bound belongs to its bucket, beyond the last to +Inf", () => {
    const metrics = createMetrics();
    const child = metrics.histogram(duration).with();
    for (const value of [0.1, 0.100001, 1, 10, 11, -1]) child.observe(value);
    assert.equal(sample(metrics, 'duration_seconds_bucket{le="0.1"}'), 2);
    assert.equal(sample(metrics, 'duration_seconds_bucket{le="1"}'), 4);
    assert.equal(sample(metrics, 'duration_seconds_bucket{le="10"}'), 5);
    assert.equal(sample(metrics, 'duration_seconds_bucket{le="+Inf"}'), 6);
    assert.equal(sample(metrics, "duration_seconds_count"), 6);
    assert.ok(Math.abs((sample(metrics, "duration_seconds_sum") ?? 0) - 21.200001) < 1e-9);
  });

  test("NaN does not spoil the sum", () => {
    const metrics = createMetrics();
    const child = metrics.histogram(duration).with();
    child.observe(Number.NaN);
    child.observe(1);
    assert.equal(sample(metrics, "duration_seconds_sum"), 1);
  });

  for (const buckets of [[], [1, 1], [2, 1], [1, Infinity]]) {
    test(`refuses buckets [${buckets.join(", ")}]`, () => {
      assert.throws(() => createMetrics().histogram({ ...duration, buckets }), /must be finite and ascend/);
    });
  }
});

describe("mistakes in definitions are thrown", () => {
  const cases: [why: string, act: (metrics: MetricRegistry) => unknown, message: RegExp][] = [
    ["a bad name", (metrics) => metrics.gauge({ ...requests, name: "a-b" }), /not a metric name/],
    ["a reserved label", (metrics) => metrics.counter({ ...requests, labels: ["le"] }), /cannot be a label/],
    [
      "a counter without _total",
      (metrics) => metrics.counter({ ...requests, name: "requests" }),
      /end in _total/,
    ],
    ["a gauge with _total", (metrics) => metrics.gauge(requests), /end in _total/],
    [
      "too few values",
      (metrics) => metrics.counter(requests).with("iris"),
      /2 labels \(model, outcome\), got 1/,
    ],
    [
      "the same name with other labels",
      (metrics) => [metrics.counter(requests), metrics.counter({ ...requests, labels: ["model"] })],
      /already exists/,
    ],
  ];
  for (const [why, act, message] of cases)
    test(why, () => assert.throws(() => act(createMetrics()), message));
});

test("the process describes itself", async () => {
  const metrics = createMetrics();
  const process = exposeProcess(metrics, { clock: systemClock, version: "1.2.3" });
  try {
    await waitForLoopSample(metrics);
    const families = parseExposition(metrics.render());
    const value = (name: string) => families.get(name)?.samples.get(name) ?? Number.NaN;
    assert.ok(value("process_resident_memory_bytes") > 10e6);
    assert.ok(value("process_cpu_seconds_total") > 0);
    assert.ok(value("nodejs_heap_size_used_bytes") <= value("nodejs_heap_size_total_bytes"));
    assert.ok(Math.abs(value("process_start_time_seconds") - Date.now() / 1e3) < 3600);
    if (globalThis.process.platform === "linux") {
      assert.ok(value("process_open_fds") >= 3);
      assert.ok(value("process_max_fds") > value("process_open_fds"));
    }
    assert.equal(families.get("nodejs_eventloop_delay_seconds")?.samples.size, 6);
    assert.equal(families.get("spillway_build_info")?.samples.size, 1);
  } finally {
    process.close();
    process.close();
  }
});

test("quantiles of the loop's delay begin anew every ten seconds, sum and count do not", async () => {
  const metrics = createMetrics();
  const clock = createManualClock();
  const process = exposeProcess(metrics, { clock, version: "1.2.3" });
  const read = () => ({
    count: sample(metrics, "nodejs_eventloop_delay_seconds_count") ?? 0,
    worst: sample(metrics, 'nodejs_eventloop_delay_seconds{quantile="1"}') ?? 0,
  });
  try {
    await waitForLoopSample(metrics);
    const blockedUntil = performance.now() + 600;
    while (performance.now() < blockedUntil);
    await untilTrue(() => read().worst > 0.4, "the block was never seen");
    clock.advance(10_000);
    const before = read();
    await untilTrue(() => read().count > before.count, "nothing was counted any more");
    assert.ok(before.worst > 0.4);
    assert.ok(read().worst < before.worst, "the block is still shown");
  } finally {
    process.close();
  }
});

async function untilTrue(isTrue: () => boolean, complaint: string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (isTrue()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(complaint);
}

/** The loop is looked at every 20 ms. */
function waitForLoopSample(metrics: MetricRegistry): Promise<void> {
  const seen = () => (sample(metrics, "nodejs_eventloop_delay_seconds_count") ?? 0) > 0;
  return untilTrue(seen, "the event loop was never looked at");
}
