import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ModelCatalog, ModelStatus } from "../contracts/models.ts";
import type { Route } from "../contracts/route.ts";
import { isFailure } from "../core/errors.ts";
import { createMetrics, expositionContentType } from "../telemetry/index.ts";
import { createManualClock } from "../testing.ts";
import { httpCall } from "../../test/support/dialect-calls.ts";
import { createHealthRoutes } from "./health.ts";
import { createMetricsRoute } from "./metrics-route.ts";
import type { PooledModel } from "../contracts/http-endpoint.ts";
import type { Caller } from "../core/request.ts";
import { createWelcomeRoute } from "./welcome.ts";

function status(name: string, state: ModelStatus["state"], reason = ""): ModelStatus {
  return { pool: "models", name, version: "1", state, reason, instances: { wanted: 1, ready: 0 } };
}

function catalog(ready: boolean, models: readonly ModelStatus[] = []): ModelCatalog {
  const unexpected = (): never => assert.fail("these pages only list");
  return {
    find: unexpected,
    versions: unexpected,
    isReady: unexpected,
    statistics: unexpected,
    load: unexpected,
    unload: unexpected,
    ready: () => ready,
    list: () => models,
  };
}

/** Asks the route at a path without going through a door. */
function ask(routes: readonly Route[], path: string, caller?: Caller) {
  const route = routes.find((each) => each.path === path && each.method === "GET");
  assert.ok(route, path);
  assert.equal(route.scope, { "/": "any", "/metrics": "status" }[path] ?? "open");
  const call = httpCall("");
  const answer = route.handle(caller === undefined ? call : { ...call, caller });
  assert.ok(!(answer instanceof Promise) && !isFailure(answer) && "status" in answer);
  const text = Buffer.concat(answer.body).toString();
  return { status: answer.status, headers: Object.fromEntries(answer.headers), text };
}

describe("health", () => {
  it("is live at once, ready once the catalog is, and no more when draining", () => {
    const clock = createManualClock();
    let ready = false;
    let draining = false;
    const routes = createHealthRoutes({
      storageProblem: () => undefined,
      catalog: { ...catalog(false, [status("a", "READY"), status("b", "LOADING")]), ready: () => ready },
      clock,
      version: "1.2.3",
      draining: () => draining,
    });
    const statuses = () =>
      ["/health/live", "/ping", "/health/ready", "/health"].map((path) => ask(routes, path).status);
    assert.deepEqual(statuses(), [200, 200, 503, 503]);
    ready = true;
    assert.deepEqual(statuses(), [200, 200, 200, 200]);
    clock.advance(90_400);
    const health = ask(routes, "/health");
    assert.deepEqual(JSON.parse(health.text), {
      name: "spillway",
      status: "ready",
      version: "1.2.3",
      uptime_seconds: 90,
      models: { ready: 1, total: 2 },
    });
    assert.equal(health.headers["cache-control"], "no-store");
    draining = true;
    assert.deepEqual(statuses(), [200, 200, 503, 503]);
    assert.deepEqual(JSON.parse(ask(routes, "/health/ready").text), { status: "draining" });
  });
});

describe("metrics", () => {
  it("are text in the exposition format", () => {
    const metrics = createMetrics();
    metrics.counter({ name: "a_total", help: "A.", labels: [] }).with().value = 3;
    const page = ask([createMetricsRoute(metrics, expositionContentType)], "/metrics");
    assert.match(page.headers["content-type"] ?? "", /^text\/plain; version=0\.0\.4/);
    assert.match(page.text, /^a_total 3$/m);
  });
});

describe("the welcome page", () => {
  it("says what this is, which models there are and where to go", () => {
    const models = [status("iris", "READY"), status("bad", "UNAVAILABLE", "model.onnx cannot be read")];
    const pool = { name: "qwen:4b", pool: "boxes", ready: 1, endpoints: 2 };
    const llm: PooledModel = { ...pool, dialects: [], loaded: 0, card: undefined, running: [] };
    const pooled = (): PooledModel[] => Array.from({ length: 51 }, () => llm);
    const paths = new Set(["/api/chat", "/predict", "/health"]);
    const parts = { catalog: catalog(true, models), pooled, version: "1.2.3", paths };
    const page = ask([createWelcomeRoute(parts)], "/");
    assert.match(page.headers["content-type"] ?? "", /^text\/plain/);
    for (const part of [
      /^Spillway 1\.2\.3/,
      /Ollama is running/,
      /iris 1 {2}ready/,
      /bad 1 .*cannot be read/,
      /qwen:4b {2}pool boxes, 1 of 2 servers ready/,
      /and 1 more/,
      /\/predict/,
      /\/health/,
    ]) {
      assert.match(page.text, part);
    }
    assert.doesNotMatch(
      page.text,
      /\/v1\/messages|\/status/,
      "what this door does not answer is not told of",
    );
    const bound = ask([createWelcomeRoute(parts)], "/", { id: "a", scopes: ["infer"], models: ["bad"] }).text;
    assert.match(bound, /Ollama is running/);
    assert.doesNotMatch(bound, /iris|qwen|cannot be read/);
    assert.match(bound, /bad 1 {2}unavailable$/m);
    const nothing = { catalog: catalog(true), pooled: () => [], version: "1", paths: new Set<string>() };
    const picker = ask([createWelcomeRoute(nothing)], "/").text;
    assert.match(picker, /^Spillway 1: an endpoint picker/);
    assert.doesNotMatch(picker, /Ollama|\/predict|Models/);
    const chats = { ...nothing, paths: new Set(["/v1/chat/completions"]) };
    assert.match(ask([createWelcomeRoute(chats)], "/").text, /an inference gateway.*Models\n {2}none\n/s);
  });
});
