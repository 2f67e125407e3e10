/** Health, metadata, configuration, statistics and repository of v2 over HTTP. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createManualClock } from "../../testing.ts";
import {
  httpCall,
  jsonOf,
  routeAt,
  serve,
  testCatalog,
  testModel,
  type CatalogState,
} from "../../../test/support/dialect-calls.ts";
import type { HttpCall, Route } from "../../contracts/route.ts";
import { failure } from "../../core/errors.ts";
import { JsonThreads } from "../json/json-threads.ts";
import { createKserveRoutes } from "./create-kserve-routes.ts";

const jsonThreads = new JsonThreads({ clock: createManualClock() });
after(() => jsonThreads.close());

const iris = testModel();
const mock = testModel({
  name: "mock",
  version: "7",
  platform: "spillway_mock",
  inputs: [{ name: "prompt", datatype: "BYTES", shape: [3] }],
  batchable: false,
  maxBatch: 1,
  mock: true,
});

function start(state: Partial<CatalogState> = {}) {
  const catalog = testCatalog({ models: [iris, testModel({ version: "2" }), mock], ...state });
  const routes = createKserveRoutes({
    catalog,
    defaults: { requestTimeoutMs: 10_000 },
    server: { name: "spillway", version: "0.1.0" },
    jsonThreads,
  });
  const call = async (method: Route["method"], path: string, params = {}, body: unknown = "") => {
    const route = routeAt(routes, method, path);
    const changes: Partial<HttpCall> = { params, method };
    const { answer, failure: reason } = await serve(route.handle(httpCall(body, changes)), iris);
    const wire = reason === undefined ? answer : route.writeFailure(reason, "request-1");
    const text = Buffer.concat(wire?.body ?? []).toString();
    return { status: wire?.status, json: text === "" ? undefined : jsonOf(wire) };
  };
  return { catalog, routes, call };
}

test("health: the status decides, the body says the same", async () => {
  const { call } = start();
  assert.deepEqual(await call("GET", "/v2/health/live"), { status: 200, json: { live: true } });
  assert.deepEqual(await call("GET", "/v2/health/ready"), { status: 200, json: { ready: true } });
  assert.deepEqual(await start({ ready: false }).call("GET", "/v2/health/ready"), {
    status: 503,
    json: { ready: false },
  });
});

test("a model's readiness: 200, 503 while it is not, 404 for what is unknown", async () => {
  const unready = {
    pool: "models",
    name: "iris",
    version: "1",
    state: "LOADING",
    reason: "starting",
    instances: { wanted: 1, ready: 0 },
  } as const;
  const { call } = start({ statuses: [unready] });
  assert.deepEqual(await call("GET", "/v2/models/{model}/ready", { model: "iris" }), {
    status: 503,
    json: { error: 'Model "iris" is not ready' },
  });
  const ready = start();
  assert.deepEqual(await ready.call("GET", "/v2/models/{model}/ready", { model: "iris" }), {
    status: 200,
    json: { name: "iris", ready: true },
  });
  assert.equal((await ready.call("GET", "/v2/models/{model}/ready", { model: "../x" })).status, 404);
  assert.deepEqual(
    await ready.call("GET", "/v2/models/{model}/versions/{version}/ready", { model: "iris", version: "9" }),
    {
      status: 404,
      json: { error: 'No version "9" of "iris"' },
    },
  );
});

test("metadata of server and models", async () => {
  const { call } = start();
  assert.deepEqual(await call("GET", "/v2"), {
    status: 200,
    json: {
      name: "spillway",
      version: "0.1.0",
      extensions: [
        "classification",
        "model_repository",
        "model_configuration",
        "schedule_policy",
        "statistics",
        "binary_tensor_data",
        "parameters",
      ],
    },
  });
  assert.deepEqual((await call("GET", "/v2/models/{model}", { model: "iris" })).json, {
    name: "iris",
    versions: ["1", "2"],
    platform: "onnx",
    inputs: [{ name: "x", datatype: "FP32", shape: [-1, 4] }],
    outputs: [{ name: "y", datatype: "FP32", shape: [-1, 3] }],
  });
  assert.deepEqual(await call("GET", "/v2/models/{model}", { model: "nope" }), {
    status: 404,
    json: { error: 'No model "nope"' },
  });
});

test("configuration in Triton's words", async () => {
  const { call } = start();
  assert.deepEqual((await call("GET", "/v2/models/{model}/config", { model: "iris" })).json, {
    name: "iris",
    platform: "onnx",
    backend: "onnx",
    max_batch_size: 8,
    input: [{ name: "x", data_type: "TYPE_FP32", dims: [4] }],
    output: [{ name: "y", data_type: "TYPE_FP32", dims: [3] }],
    instance_group: [{ name: "iris", count: 2, kind: "KIND_CPU" }],
    parameters: {},
    dynamic_batching: {},
  });
  const config = (
    await call("GET", "/v2/models/{model}/versions/{version}/config", { model: "mock", version: "7" })
  ).json;
  const { max_batch_size, input, parameters } = config as Record<string, unknown>;
  assert.deepEqual(
    [max_batch_size, input, parameters],
    [0, [{ name: "prompt", data_type: "TYPE_STRING", dims: [3] }], { mock: { string_value: "true" } }],
  );
});

test("statistics of all, of one, of none yet, and of what is unknown", async () => {
  const some = { count: 4, ns: 4_000_000 };
  const measured = { count: 4, ns: 3_999_999.75 };
  const none = { count: 0, ns: 0 };
  const entry = {
    name: "iris",
    version: "1",
    lastInferenceMs: 1_700_000_000_000,
    inferenceCount: 8,
    executionCount: 2,
    success: measured,
    fail: none,
    queue: measured,
    computeInput: none,
    computeInfer: measured,
    computeOutput: none,
    batches: [{ size: 4, compute: measured }],
  };
  const { call } = start({ statistics: [entry] });
  const expected = {
    model_stats: [
      {
        name: "iris",
        version: "1",
        last_inference: 1_700_000_000_000,
        inference_count: 8,
        execution_count: 2,
        inference_stats: {
          success: some,
          fail: none,
          queue: some,
          compute_input: none,
          compute_infer: some,
          compute_output: none,
          cache_hit: none,
          cache_miss: none,
        },
        response_stats: {},
        batch_stats: [{ batch_size: 4, compute_input: none, compute_infer: some, compute_output: none }],
        memory_usage: [],
      },
    ],
  };
  assert.deepEqual((await call("GET", "/v2/models/stats")).json, expected);
  assert.deepEqual((await call("GET", "/v2/models/{model}/stats", { model: "iris" })).json, expected);
  assert.deepEqual((await call("GET", "/v2/models/{model}/stats", { model: "mock" })).json, {
    model_stats: [],
  });
  assert.equal((await call("GET", "/v2/models/{model}/stats", { model: "nope" })).status, 404);
});

test("the repository index, all or ready only, with an optional body", async () => {
  const statuses = [
    {
      pool: "models",
      name: "iris",
      version: "1",
      state: "READY",
      reason: "",
      instances: { wanted: 1, ready: 1 },
    },
    {
      pool: "models",
      name: "bad",
      version: "3",
      state: "UNAVAILABLE",
      reason: "model.onnx: no graph",
      instances: { wanted: 1, ready: 0 },
    },
  ] as const;
  const { call } = start({ statuses });
  const ready = { name: "iris", version: "1", state: "READY", reason: "" };
  const bad = { name: "bad", version: "3", state: "UNAVAILABLE", reason: "model.onnx: no graph" };
  assert.deepEqual((await call("POST", "/v2/repository/index")).json, [ready, bad]);
  assert.deepEqual((await call("POST", "/v2/repository/index", {}, { ready: true })).json, [ready]);
  assert.deepEqual(await call("POST", "/v2/repository/index", {}, { ready: 1 }), {
    status: 400,
    json: { error: '"ready": expected true or false, got 1' },
  });
  assert.equal((await call("POST", "/v2/repository/index", {}, "[]")).status, 400);
});

test("load and unload: administrators only, paths are no model names, a failed load is 400", async () => {
  const { call, catalog, routes } = start({
    changes: { corrupt: failure("model_load_failed", "corrupt/1/model.onnx: protobuf parsing failed") },
  });
  const load = "/v2/repository/models/{model}/load";
  assert.equal(routeAt(routes, "POST", load).scope, "admin");
  assert.equal(routeAt(routes, "POST", "/v2/repository/models/{model}/unload").scope, "admin");
  assert.deepEqual(await call("POST", load, { model: "iris" }), { status: 200, json: undefined });
  const unload = "/v2/repository/models/{model}/unload";
  assert.equal(
    (await call("POST", unload, { model: "iris" }, { parameters: { unload_dependents: true } })).status,
    200,
  );
  assert.deepEqual(await call("POST", load, { model: "corrupt" }), {
    status: 400,
    json: { error: "corrupt/1/model.onnx: protobuf parsing failed" },
  });
  const path = await call("POST", load, { model: "../x" });
  assert.equal(path.status, 400);
  assert.match((path.json as { error: string }).error, /^"\.\.\/x" is no model name/);
  const sent = await call(
    "POST",
    load,
    { model: "iris" },
    { parameters: { "file:1/model.onnx": "AAAA", config: "{}" } },
  );
  assert.equal(sent.status, 501);
  assert.deepEqual(catalog.asked, ["load iris", "unload iris", "load corrupt"]);
});

test("every route says what it needs, and no two answer the same address", () => {
  const { routes } = start();
  const addresses = routes.map((route) => `${route.method} ${route.path.replaceAll(/\{\w+\}/g, "{}")}`);
  assert.equal(new Set(addresses).size, addresses.length);
  for (const route of routes)
    assert.equal(route.body, route.method === "POST" ? "bytes" : "none", route.path);
});
