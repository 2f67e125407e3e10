import assert from "node:assert/strict";
import { test } from "node:test";
import { parseExposition } from "../../../../test/harness/exposition.ts";
import { ollamaAnswers, openaiAnswers, startFakeServer } from "../../test/support/fake-model-server.ts";
import { ended, eventually, startServerPool } from "../../test/support/server-pool.ts";

/** All samples by series. */
function samplesOf(metrics: { render(): string }): Map<string, number> {
  return new Map([...parseExposition(metrics.render()).values()].flatMap(({ samples }) => [...samples]));
}

test("a pool and its servers as they are when somebody asks", async (t) => {
  const server = await startFakeServer(t, ollamaAnswers(["a:1b", "b:1b"], ["b:1b"]));
  const { pool, metrics } = await startServerPool(t, { dialect: "ollama", endpoints: [server.url] });
  await eventually(() => pool.settled, Boolean);
  pool.endpoints[0]?.acquire();
  const samples = samplesOf(metrics);
  const labels = `pool="chat",endpoint="127.0.0.1:${server.port}"`;
  assert.equal(samples.get('spillway_pool_queue_requests{pool="chat"}'), 0);
  assert.equal(samples.get('spillway_pool_ready_endpoints{pool="chat"}'), 1);
  assert.equal(samples.get(`spillway_endpoint_in_flight_requests{${labels}}`), 1);
  assert.equal(samples.get(`spillway_endpoint_capacity_requests{${labels}}`), pool.endpoints[0]?.capacity);
  assert.equal(samples.get(`spillway_endpoint_models{${labels},state="listed"}`), 2);
  assert.equal(samples.get(`spillway_endpoint_models{${labels},state="loaded"}`), 1);
  assert.equal(samples.get(`spillway_endpoint_state{${labels},state="ready"}`), 1);
  pool.close();
  assert.deepEqual([...samplesOf(metrics).keys()], [], "what is closed is no longer shown");
});

test("a server that tells not what is loaded has no such figure; one that leaves is shown until its last answer", async (t) => {
  const server = await startFakeServer(t, openaiAnswers(["m"]));
  const { pool, metrics } = await startServerPool(t, { dialect: "openai", endpoints: [server.url] });
  await eventually(() => pool.settled, Boolean);
  const series = (): string[] => [...samplesOf(metrics).keys()].filter((each) => each.includes("endpoint="));
  assert.ok(!series().some((each) => each.includes("loaded")));
  const [leaving] = pool.endpoints;
  leaving?.acquire();
  pool.setEndpoints([]);
  assert.ok(samplesOf(metrics).get(series().find((each) => each.includes("draining")) ?? "") === 1);
  leaving?.release(ended("ok"));
  assert.deepEqual(series(), []);
  assert.match(JSON.stringify(pool.inspect()), /"servers":\[\]/);
});
