import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createMetrics } from "../../telemetry/index.ts";
import { wireAnswer, type FailureWriter, type Route } from "../../contracts/route.ts";
import { createHttpMeters } from "./http-metrics.ts";
import { Router } from "./router.ts";

const writers = new Map<string, FailureWriter>();

/** A writer an API, told apart by identity. */
function writer(api: string): FailureWriter {
  const known = writers.get(api) ?? (() => wireAnswer(500, api, []));
  writers.set(api, known);
  return known;
}

function apiOf(found: FailureWriter | undefined): string | undefined {
  return [...writers].find(([, each]) => each === found)?.[0];
}

function router(...patterns: (readonly [method: Route["method"], path: string, api?: string])[]): Router {
  const routes = patterns.map(([method, path, api = "any"]): Route => {
    const handle = () => wireAnswer(200, "text/plain", []);
    return { method, path, scope: "infer", body: "none", writeFailure: writer(api), handle };
  });
  return new Router(routes, createHttpMeters(createMetrics()));
}

/** `pattern params` of what is found, else the kind. */
function ask(table: Router, method: string, path: string): string {
  const match = table.match(method, path);
  if (match.kind !== "found") return match.kind;
  return `${match.compiled.route.path} ${JSON.stringify(match.params)}`;
}

describe("a router", () => {
  const table = router(
    ["GET", "/"],
    ["GET", "/v2"],
    ["GET", "/v2/models/stats"],
    ["GET", "/v2/models/{model}"],
    ["GET", "/v2/models/{model}/ready"],
    ["POST", "/v2/models/{model}/versions/{version}/infer"],
    ["GET", "/v1/models/{model}"],
    ["POST", "/v1/models/{model}:predict"],
    ["POST", "/v1/models/{model}:explain"],
    ["POST", "/v1/models/{model}/versions/{v}:predict"],
  );

  it("finds fixed paths and captures", () => {
    assert.equal(ask(table, "GET", "/"), "/ {}");
    assert.equal(ask(table, "GET", "/v2"), "/v2 {}");
    assert.equal(ask(table, "HEAD", "/v2"), "/v2 {}");
    assert.equal(ask(table, "GET", "/v2/models/iris"), '/v2/models/{model} {"model":"iris"}');
    assert.equal(
      ask(table, "POST", "/v2/models/a/versions/3/infer"),
      '/v2/models/{model}/versions/{version}/infer {"model":"a","version":"3"}',
    );
  });

  it("prefers what is literal, and goes back where that leads nowhere", () => {
    assert.equal(ask(table, "GET", "/v2/models/stats"), "/v2/models/stats {}");
    assert.equal(ask(table, "GET", "/v2/models/stats/ready"), '/v2/models/{model}/ready {"model":"stats"}');
  });

  it("tells suffixes apart", () => {
    assert.equal(ask(table, "POST", "/v1/models/a:predict"), '/v1/models/{model}:predict {"model":"a"}');
    assert.equal(ask(table, "POST", "/v1/models/a:b:explain"), '/v1/models/{model}:explain {"model":"a:b"}');
    assert.equal(ask(table, "GET", "/v1/models/a:other"), '/v1/models/{model} {"model":"a:other"}');
    assert.equal(
      ask(table, "POST", "/v1/models/a/versions/2:predict"),
      '/v1/models/{model}/versions/{v}:predict {"model":"a","v":"2"}',
    );
  });

  it("gives dots, empty and encoded segments no meaning", () => {
    assert.equal(ask(table, "GET", "/v2/models/../x"), "no_path");
    assert.equal(ask(table, "GET", "/v2/models/.."), '/v2/models/{model} {"model":".."}');
    assert.equal(ask(table, "GET", "/v2/models/%2e%2e%2fx"), '/v2/models/{model} {"model":"../x"}');
    for (const path of ["/v2/models/", "/v2/models//ready", "//v2", "/v2/", "", "v2", "*", "http://a/v2"]) {
      assert.equal(ask(table, "GET", path), "no_path", path);
    }
    assert.equal(ask(table, "POST", "/v1/models/:predict"), "no_method");
    assert.equal(ask(table, "GET", "/V2"), "no_path");
  });

  it("refuses values that are no percent-encoded UTF-8", () => {
    for (const path of ["/v2/models/%", "/v2/models/%zz", "/v2/models/%ff"]) {
      assert.equal(ask(table, "GET", path), "malformed");
    }
  });

  it("gives the rest of a path to who takes it, behind everything else", () => {
    const deep = router(["GET", "/g/{path*}"], ["POST", "/g/api/query"], ["GET", "/g/{x}/y"]);
    assert.equal(ask(deep, "GET", "/g/"), '/g/{path*} {"path":""}');
    assert.equal(ask(deep, "GET", "/g/a//b/%2e%2e/c"), '/g/{path*} {"path":"a//b/../c"}');
    assert.equal(ask(deep, "POST", "/g/api/query"), "/g/api/query {}");
    assert.equal(ask(deep, "GET", "/g/api/query/more"), '/g/{path*} {"path":"api/query/more"}');
    assert.equal(ask(deep, "GET", "/g/1/y"), '/g/{x}/y {"x":"1"}');
    assert.equal(ask(deep, "GET", "/g"), "no_path");
    assert.equal(ask(deep, "POST", "/g/else"), "no_method");
    assert.equal(ask(deep, "GET", "/g/%ff"), "malformed");
    assert.throws(() => router(["GET", "/g/{path*}/more"]), /goes on behind/);
  });

  it("names the methods of an address", () => {
    const match = table.match("DELETE", "/v2/models/iris");
    assert.equal(match.kind === "no_method" && match.allow, "GET, HEAD");
    const both = router(["GET", "/a"], ["POST", "/a"]).match("PUT", "/a");
    assert.equal(both.kind === "no_method" && both.allow, "GET, HEAD, POST");
  });

  it("keeps a HEAD route of its own, whatever the order", () => {
    for (const order of [["GET", "HEAD"] as const, ["HEAD", "GET"] as const]) {
      const own = router(...order.map((method) => [method, "/a/{x}"] as const));
      const match = own.match("HEAD", "/a/1");
      assert.equal(match.kind === "found" && match.compiled.route.method, "HEAD");
    }
  });

  it("guesses the address where a client's base address has a slash, /v1 or /api too much or too few", () => {
    const apis = router(
      ["POST", "/v1/chat/completions", "openai"],
      ["POST", "/api/chat", "ollama"],
      ["GET", "/v1/models", "openai"],
      ["GET", "/api/tags", "ollama"],
    );
    const meant = (method: string, path: string): string | undefined => {
      const match = apis.match(method, path);
      assert.equal(match.kind, "no_path", path);
      return match.kind === "no_path" ? `${match.meant} ${apiOf(match.writeFailure)}` : undefined;
    };
    for (const path of [
      "/chat/completions",
      "/v1/v1/chat/completions",
      "/api/v1/chat/completions",
      "/v1//chat/completions/",
    ])
      assert.equal(meant("POST", path), "/v1/chat/completions openai", path);
    assert.equal(meant("GET", "/models"), "/v1/models openai");
    assert.equal(meant("GET", "/v1/models/"), "/v1/models openai");
    for (const path of ["/tags", "/v1/api/tags", "/v1/tags"])
      assert.equal(meant("GET", path), "/api/tags ollama", path);
    assert.equal(meant("GET", "/chat/completions"), "undefined undefined", "nothing is served so");
    assert.equal(meant("POST", "/v1/nothing"), "undefined openai");
    assert.equal(meant("GET", `/${"/".repeat(10_000)}`), "undefined undefined");
  });

  it("knows which API a wrong path was meant for", () => {
    const apis = router(
      ["GET", "/health", "plain"],
      ["GET", "/v2/models/{model}", "kserve"],
      ["POST", "/v1/models/{model}:predict", "tfserving"],
      ["POST", "/v1/chat/completions", "openai"],
    );
    const api = (method: string, path: string): string | undefined => {
      const match = apis.match(method, path);
      return match.kind === "found" ? "found" : apiOf(match.writeFailure);
    };
    assert.equal(api("GET", "/v2/nothing"), "kserve");
    assert.equal(api("POST", "/v2/models/a"), "kserve");
    assert.equal(api("POST", "/v2/models/a/b/c/d"), "kserve");
    assert.equal(api("GET", "/v1/chat/other"), "openai");
    assert.equal(api("GET", "/v1/models/a:predict"), "tfserving");
    assert.equal(api("GET", "/v3"), undefined);
    assert.equal(api("GET", `/${"/".repeat(10_000)}`), undefined);
  });

  it("does not take two routes for one address, nor patterns it cannot read", () => {
    assert.throws(() => router(["GET", "/a/{x}"], ["GET", "/a/{y}"]), /two routes answer GET/);
    assert.throws(() => router(["GET", "/a/x{y}"]), TypeError);
  });
});
