import assert from "node:assert/strict";
import { test } from "node:test";
import { findMetric, parseMetrics } from "./prometheus.ts";

const PAGE = `# HELP x_seconds Some "help" with {braces}
# TYPE x_seconds histogram
x_seconds_bucket{le="0.1",model="a"} 3
x_seconds_bucket{le="+Inf",model="a \\"b\\"\\n"} 1e3
x_total 5 1700000000000
x_bad NaN
x_inf +Inf

not a metric
`;

test("samples with and without labels, escapes, special values and timestamps", () => {
  const samples = parseMetrics(PAGE);
  assert.equal(findMetric(samples, "x_seconds_bucket", { le: "0.1" }), 3);
  assert.equal(findMetric(samples, "x_seconds_bucket", { model: 'a "b"\n' }), 1000);
  assert.equal(findMetric(samples, "x_total"), 5);
  assert.equal(findMetric(samples, "x_inf"), Number.POSITIVE_INFINITY);
  assert.ok(Number.isNaN(findMetric(samples, "x_bad")));
  assert.equal(findMetric(samples, "x_total", { model: "a" }), undefined);
  assert.equal(findMetric(samples, "x"), undefined);
});
