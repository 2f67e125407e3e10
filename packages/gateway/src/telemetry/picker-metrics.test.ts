// The picker's series under the Endpoint Picker's names, old and new.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseExposition } from "../../../../test/harness/exposition.ts";
import { forwardRequest, PlainPool } from "../../test/support/forward-fixture.ts";
import type { CycleTracer, ScheduledRequest } from "../contracts/plugins/scheduling.ts";
import type { ForwardRecord } from "../contracts/request-record.ts";
import { plainTraits } from "../core/request-traits.ts";
import { createManualClock } from "../testing.ts";
import { CycleMeter, endpointName } from "./cycle-meter.ts";
import { createMetrics, type MetricRegistry } from "./metrics.ts";
import { exposePools } from "./pool-gauges.ts";
import { errorWord, RequestMeters, type RequestLabels } from "./request-meters.ts";

/** All samples of an exposition that a strict reader takes. */
function samplesOf(metrics: MetricRegistry): Map<string, number> {
  return new Map([...parseExposition(metrics.render()).values()].flatMap(({ samples }) => [...samples]));
}

const pool = new PlainPool([]);

function record(more: Partial<ForwardRecord> = {}, stream = true): ForwardRecord {
  return {
    request: forwardRequest({ model: "asked", stream }),
    route: { pool, model: "there" },
    endpoint: "chat/0",
    outcome: "ok",
    attempts: 1,
    queueMs: 500,
    durationMs: 2_500,
    firstTokenMs: 500,
    usage: { promptTokens: 100, cachedTokens: 64, completionTokens: 11, estimated: false },
    requestBytes: 700,
    responseBytes: 5_000,
    escalation: undefined,
    ...more,
  };
}

const labels: RequestLabels = { model: "asked", target: "there", fairnessId: "t1", priority: 5 };
const m = 'model_name="asked",target_model_name="there",fairness_id="t1",priority="5"';

describe("requests", () => {
  test("are counted once and told under both names", () => {
    const metrics = createMetrics();
    const meters = new RequestMeters(metrics);
    const meter = meters.of(labels);
    meter.placed();
    meters.of({ ...labels, fairnessId: "t2" }).placed();
    const running = samplesOf(metrics);
    assert.equal(running.get(`llm_d_epp_request_running{${m}}`), 1);
    assert.equal(running.get('inference_objective_running_requests{model_name="asked"}'), 2);
    meter.left();
    meter.ended(record());
    const samples = samplesOf(metrics);
    const old = 'model_name="asked",target_model_name="there"';
    for (const [series, value] of [
      [`llm_d_epp_request_total{${m}}`, 1],
      [`inference_objective_request_total{${old},priority="5"}`, 1],
      [`llm_d_epp_request_running{${m}}`, 0],
      [`llm_d_epp_request_duration_seconds_sum{${m}}`, 3],
      [`inference_objective_request_duration_seconds_sum{${old}}`, 3],
      [`llm_d_epp_request_size_bytes_sum{${m}}`, 700],
      [`inference_objective_request_sizes_sum{${old}}`, 700],
      [`llm_d_epp_response_size_bytes_sum{${m}}`, 5_000],
      [`llm_d_epp_request_input_tokens_sum{${m}}`, 100],
      [`inference_objective_input_tokens_sum{${old}}`, 100],
      [`llm_d_epp_request_output_tokens_sum{${m}}`, 11],
      [`llm_d_epp_request_cached_tokens_sum{${m}}`, 64],
      [`inference_objective_prompt_cached_tokens_sum{${old}}`, 64],
      [`llm_d_epp_request_ttft_seconds_sum{${m},streaming="true"}`, 1],
      [`llm_d_epp_request_streaming_tpot_seconds_sum{${m}}`, 0.2],
      [`inference_objective_normalized_time_per_output_token_seconds_count{${old}}`, 1],
    ] as const) {
      assert.equal(samples.get(series), value, series);
    }
  });

  test("that fail are counted by the Endpoint Picker's codes, and have no duration", () => {
    const metrics = createMetrics();
    const meter = new RequestMeters(metrics).of(labels);
    meter.refused("queue_full");
    meter.ended(record({ outcome: "upstream_timeout", usage: undefined }));
    const samples = samplesOf(metrics);
    assert.equal(samples.get(`llm_d_epp_request_error_total{${m},error_code="ServiceUnavailable"}`), 1);
    assert.equal(samples.get(`llm_d_epp_request_error_total{${m},error_code="ModelServerError"}`), 1);
    assert.equal(samples.get(`llm_d_epp_request_duration_seconds_count{${m}}`), undefined);
    assert.deepEqual(
      (["rate_limited", "model_unavailable", "client_gone", "bad_request", "model_not_found"] as const).map(
        errorWord,
      ),
      ["ResourceExhausted", "ServiceUnavailable", "ClientDisconnected", "BadRequest", "NotFound"],
    );
  });

  test("whose tokens are guessed, or whose answer is not streamed, tell only what is known", () => {
    const metrics = createMetrics();
    const meter = new RequestMeters(metrics).of(labels);
    const usage = { promptTokens: 9, cachedTokens: 0, completionTokens: 9, estimated: true };
    meter.ended(record({ usage }));
    meter.ended(record({}, false));
    const samples = samplesOf(metrics);
    assert.equal(samples.get(`llm_d_epp_request_input_tokens_count{${m}}`), 1);
    assert.equal(samples.get(`llm_d_epp_request_streaming_tpot_seconds_count{${m}}`), undefined);
    assert.equal(samples.get(`llm_d_epp_request_ttft_seconds_count{${m},streaming="false"}`), 1);
  });

  test("of more tenants than are kept apart are those of other; models stay apart longer", () => {
    const metrics = createMetrics();
    const meters = new RequestMeters(metrics);
    for (let i = 0; i < 3_000; i++) meters.of({ ...labels, fairnessId: `tenant-${i}` }).refused("queue_full");
    meters.of({ ...labels, model: "second", fairnessId: "late" }).refused("queue_full");
    for (let i = 0; i < 3_000; i++)
      meters.of({ ...labels, model: `model-${i}`, priority: i }).refused("queue_full");
    const samples = [...samplesOf(metrics)].filter(([series]) =>
      series.startsWith("llm_d_epp_request_total"),
    );
    assert.ok(samples.length <= 1_001, `${samples.length} label sets`);
    assert.equal(
      samples.reduce((sum, [, value]) => sum + value, 0),
      6_001,
    );
    const find = (part: string) => samples.find(([series]) => series.includes(part))?.[1];
    assert.equal(find('model_name="asked",target_model_name="there",fairness_id="other"'), 2_200);
    assert.equal(find('model_name="second",target_model_name="there",fairness_id="other"'), 1);
    assert.ok((find('fairness_id="other",priority="other"') ?? 0) > 0);
  });
});

describe("pools", () => {
  test("have the mean and the spread of what their servers tell", () => {
    const metrics = createMetrics();
    const two = new PlainPool(["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"]);
    let pools = [two];
    exposePools(metrics, () => pools);
    const [a, b, c] = two.endpoints;
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    Object.assign(a.signals, { waiting: 2, running: 4, kvUsage: 0.5 });
    Object.assign(b.signals, { waiting: 6, running: 4, kvUsage: 0.7 });
    c.state = "unhealthy";
    const samples = samplesOf(metrics);
    for (const [series, value] of [
      ["llm_d_epp_average_queue_size", 4],
      ["inference_pool_average_queue_size", 4],
      ["llm_d_epp_std_dev_queue_size", 2],
      ["llm_d_epp_average_running_requests", 4],
      ["llm_d_epp_std_dev_running_requests", 0],
      ["inference_pool_average_kv_cache_utilization", 0.6],
      ["inference_pool_ready_pods", 2],
    ] as const) {
      assert.equal(samples.get(`${series}{name="chat"}`), value, series);
    }
    const old = (address: string) =>
      `inference_pool_per_pod_queue_size{name="chat",model_server_pod="${address}"}`;
    assert.equal(samples.get(old(b.address)), 6);
    assert.equal(samples.get(old(c.address)), undefined);
    pools = [];
    assert.equal(metrics.render(), "");
  });
});

describe("cycles", () => {
  const scheduling = {
    plugins: [
      { name: "q", type: "queue-scorer", parameters: {} },
      { name: "max-score-picker", type: "max-score-picker", parameters: {} },
    ],
    profiles: [{ name: "default", filters: [], scorers: [], picker: "max-score-picker" }] as const,
  };

  test("are timed, a few plugin by plugin, and counted by the endpoint they choose", () => {
    const metrics = createMetrics();
    const clock = createManualClock();
    const meter: CycleTracer = new CycleMeter({ metrics, clock, scheduling });
    const request = { model: "there", traits: plainTraits } as ScheduledRequest;
    const [endpoint] = new PlainPool(["http://127.0.0.1:1"]).endpoints;
    assert.ok(endpoint !== undefined);
    Object.assign(endpoint, { address: "10.0.0.5:8000", labels: { namespace: "prod" } });
    const candidates = { endpoints: [], positions: new Int32Array(1), count: 1, keep: () => undefined };
    const numbers = new Float64Array(1);
    for (let i = 0; i < 65; i++) {
      meter.begin(request, candidates);
      meter.profile("default");
      clock.advance(3);
      meter.scored("q", 1, candidates, numbers);
      clock.advance(1);
      meter.picked(candidates, numbers, new Int32Array(1), 1);
      meter.end(request, i === 0 ? [] : [endpoint]);
    }
    const samples = samplesOf(metrics);
    assert.equal(samples.get("inference_extension_scheduler_e2e_duration_seconds_count"), 65);
    assert.ok(Math.abs((samples.get("llm_d_epp_scheduler_e2e_duration_seconds_sum") ?? 0) - 0.26) < 1e-9);
    const place = 'namespace="prod",port="8000"';
    const success = 'status="success",target_model_name="there"';
    assert.equal(
      samples.get(`llm_d_epp_scheduler_attempts_total{${success},endpoint_name="10.0.0.5",${place}}`),
      64,
    );
    assert.equal(
      samples.get(`inference_extension_scheduler_attempts_total{${success},pod_name="10.0.0.5",${place}}`),
      64,
    );
    const plugin = (point: string, type: string, name: string) =>
      samples.get(
        `llm_d_epp_plugin_duration_seconds_sum{extension_point="${point}",plugin_type="${type}",plugin_name="${name}"}`,
      );
    assert.equal(plugin("Scorer", "queue-scorer", "q"), 0.006);
    assert.equal(plugin("Picker", "max-score-picker", "max-score-picker"), 0.002);
  });

  test("name an endpoint by its host and its port", () => {
    assert.deepEqual(endpointName({ address: "[fd00::1]:8000" }), { name: "[fd00::1]", port: "8000" });
    assert.deepEqual(endpointName({ address: "llama" }), { name: "llama", port: "" });
  });
});
