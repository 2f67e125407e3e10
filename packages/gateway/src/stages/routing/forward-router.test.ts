import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  ForwardCatalog,
  HttpEndpoint,
  HttpEndpointState,
  HttpPool,
} from "../../contracts/http-endpoint.ts";
import type { RouteOptions } from "../../contracts/options.ts";
import { isFailure } from "../../core/errors.ts";
import type { Caller } from "../../core/request.ts";
import { createForwardRouter, refuseTensors } from "./forward-router.ts";

/** A pool as far as routing looks at it: models by name, whether somebody can be asked for them now. */
function pool(
  name: string,
  models: Readonly<Record<string, boolean>>,
  answered = true,
  state: HttpEndpointState = "ready",
): HttpPool {
  const endpoint = { state } as HttpEndpoint;
  const has = (model: string): boolean => Object.hasOwn(models, model);
  const parts: Partial<HttpPool> = {
    name,
    answered,
    endpoints: [endpoint],
    endpointsFor: (model) => (has(model) ? [endpoint] : []),
    candidatesFor: (model) => (has(model) && models[model] === true ? [endpoint] : []),
    models: () =>
      Object.keys(models).map((model) => {
        return {
          name: model,
          pool: name,
          dialects: [],
          ready: 1,
          endpoints: 1,
          loaded: 0,
          card: undefined,
          running: [],
        };
      }),
  };
  return parts as HttpPool;
}

function catalogOf(...pools: HttpPool[]): ForwardCatalog {
  return { pools: () => pools, models: () => pools.flatMap((each) => each.models()), ready: () => true };
}

/** Where a request for a model goes: `pool/model`, or `code: message`. */
function ask(
  catalog: ForwardCatalog,
  model: string,
  routes: readonly RouteOptions[] = [],
  unit = 0,
  caller: Caller = { id: "local", scopes: ["infer"] },
): string {
  const router = createForwardRouter({
    catalog,
    routes,
    random: { unit: () => unit, id: () => "" },
    isPredictive: (name) => name === "iris",
  });
  const found = router(caller, model, undefined);
  return isFailure(found) ? `${found.code}: ${found.message}` : `${found.pool.name}/${found.model}`;
}

test("the first pool that has the model, whether or not it can be asked now", () => {
  const catalog = catalogOf(pool("a", { x: false }), pool("b", { x: true, y: true }));
  assert.equal(ask(catalog, "x"), "a/x");
  assert.equal(ask(catalog, "y"), "b/y");
});

test("a route goes before pools; weights share, and a target that cannot be asked is passed over", () => {
  const routes: RouteOptions[] = [
    {
      model: "x",
      targets: [
        { pool: "a", model: "big", weight: 1 },
        { pool: "b", model: "small", weight: 3 },
      ],
    },
  ];
  const well = catalogOf(pool("a", { big: true, x: true }), pool("b", { small: true }));
  const at = [0, 0.24, 0.26, 0.99].map((unit) => ask(well, "x", routes, unit));
  assert.deepEqual(at, ["a/big", "a/big", "b/small", "b/small"]);
  const ill = catalogOf(pool("a", { big: true }), pool("b", { small: false }));
  assert.equal(ask(ill, "x", routes, 0.99), "a/big");
  const both = catalogOf(pool("a", { big: false }), pool("b", { small: false }));
  assert.equal(ask(both, "x", routes, 0.99), "b/small", "it waits there");
  assert.match(ask(catalogOf(pool("a", {}), pool("b", {})), "x", routes), /^model_not_found/);
});

test("a route holds for both names of its model, unless the other has a route of its own", () => {
  const catalog = catalogOf(pool("a", { big: true, small: true }));
  const to = (name: string, model: string): RouteOptions => ({
    model: name,
    targets: [{ pool: "a", model, weight: 1 }],
  });
  assert.equal(ask(catalog, "x:latest", [to("x", "big")]), "a/big");
  assert.equal(ask(catalog, "x", [to("x:latest", "big")]), "a/big");
  assert.equal(ask(catalog, "x:latest", [to("x", "big"), to("x:latest", "small")]), "a/small");
  assert.match(ask(catalog, "x:8b", [to("x", "big")]), /^model_not_found/);
});

test("an unknown model names what exists; while a pool is silent it may yet exist", () => {
  const many = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`m${index}`, true]));
  assert.equal(
    ask(catalogOf(pool("a", many)), "x"),
    'model_not_found: No model "x"; served are m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, …',
  );
  const bound: Caller = { id: "key", scopes: ["infer"], models: ["m3", "x"] };
  assert.match(ask(catalogOf(pool("a", many)), "x", [], 0, bound), /; served are m3$/);
  assert.match(ask(catalogOf(), "x"), /no pool serves any/);
  assert.match(ask(catalogOf(pool("a", many), pool("b", {}, false)), "x"), /^model_unavailable: .*pool b/);
  const why = {
    loading: /has not yet said/,
    misconfigured: /refuses .*credentials/,
    unhealthy: /cannot be reached/,
  } as const;
  for (const [state, text] of Object.entries(why)) {
    assert.match(ask(catalogOf(pool("b", {}, false, state as keyof typeof why)), "x"), text);
  }
});

test("a chat for a model that takes tensors, and the other way round, says where to go", () => {
  const catalog = catalogOf(pool("a", { chat: true }));
  assert.match(ask(catalog, "iris"), /^bad_request: .*takes tensors.*\/v2\/models\/iris\/infer/);
  assert.equal(refuseTensors(catalog, "chat")?.code, "bad_request");
  assert.match(refuseTensors(catalog, "chat")?.message ?? "", /v1\/chat\/completions/);
  assert.equal(refuseTensors(catalog, "iris"), undefined);
});

test("a rule's pool is the one that is asked, or it is said why it cannot be", () => {
  const catalog = catalogOf(pool("a", { x: true }), pool("b", { x: true, y: true }));
  const caller: Caller = { id: "local", scopes: ["infer"] };
  const random = { unit: () => 0, id: () => "" };
  const router = createForwardRouter({ catalog, routes: [], random, isPredictive: () => false });
  const ruled = (model: string, name: string): string => {
    const found = router(caller, model, name);
    return isFailure(found) ? found.message : `${found.pool.name}/${found.model}`;
  };
  assert.equal(ruled("x", "b"), "b/x");
  assert.match(ruled("y", "a"), /Pool a has no model "y", where a rule sends/);
  assert.match(ruled("x", "c"), /There is no pool c/);
});
