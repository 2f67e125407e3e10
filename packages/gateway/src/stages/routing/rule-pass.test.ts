import assert from "node:assert/strict";
import { test } from "node:test";
import { forwardRequest, relayPayload } from "../../../test/support/forward-fixture.ts";
import type { ConfiguredRule, RoutedRequest, RoutingRule, RuleResult } from "../../contracts/plugins/rule.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { ForwardPayload } from "../../core/forward.ts";
import type { InferenceRequest } from "../../core/request.ts";
import { createManualClock } from "../../testing.ts";
import { createRouting } from "./create-routing.ts";
import { createMetrics } from "../../telemetry/index.ts";

type Apply = RoutingRule["apply"];

function rule(name: string, apply: Apply, more: Partial<ConfiguredRule["spec"]> = {}): ConfiguredRule {
  return {
    spec: {
      plugin: { name, type: "test", parameters: {} },
      models: undefined,
      onFailure: undefined,
      timeoutMs: undefined,
      ...more,
    },
    rule: { applies: () => true, apply, onFailure: "closed", timeoutMs: 100 },
    readsPrompt: false,
    needsBody: false,
  };
}

interface Setup {
  readonly clock: ReturnType<typeof createManualClock>;
  readonly asked: string[];
  readonly refused: Failure[];
  readonly route: (request: InferenceRequest<ForwardPayload>) => unknown;
}

/** A stage whose router notes `pool/model` and gives that as a route. */
function setup(rules: readonly ConfiguredRule[]): Setup {
  const clock = createManualClock();
  const asked: string[] = [];
  const refused: Failure[] = [];
  const quiet = (): void => {};
  const routing = createRouting({
    router: (_caller, model, pool) => {
      asked.push(`${pool ?? "any"}/${model}`);
      return { pool: {} as never, model };
    },
    rules,
    clock,
    logger: { error: quiet, warn: quiet, info: quiet, debug: quiet },
    metrics: createMetrics(),
    onRefused: (_request, reason) => void refused.push(reason),
  });
  return { clock, asked, refused, route: routing };
}

/** A request whose deadline is on the manual clock. */
function request(deadline = 10_000): InferenceRequest<ForwardPayload> {
  return { ...forwardRequest(), receivedAt: 0, deadline };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("without rules the router is asked at once, and the caller's header names another model", () => {
  const { asked, route } = setup([]);
  route(request());
  route({ ...request(), headers: { "x-llm-d-model-name-rewrite": "b" } });
  route({ ...request(), headers: { "x-gateway-model-name-rewrite": "c" } });
  assert.deepEqual(asked, ["any/m", "any/b", "any/c"]);
});

test("the header gives no caller a model that its key may not use", () => {
  const { asked, route } = setup([]);
  const caller = { id: "k", scopes: ["infer"], models: ["m"] } as const;
  const result = route({ ...request(), caller, headers: { "x-llm-d-model-name-rewrite": "b" } });
  assert.equal((result as Failure).code, "forbidden");
  assert.deepEqual(asked, []);
});

test("rules run in their order, at once, and see what those before did", () => {
  const seen: string[] = [];
  const { asked, route } = setup([
    rule("first", ({ model }) => (seen.push(model), { model: "b", priority: 3, note: "why" })),
    rule("second", ({ model }) => (seen.push(model), { pool: "p", fairnessId: "team" })),
    rule("third", () => ({})),
    { ...rule("never", () => assert.fail("it does not apply")), rule: { ...skipped } },
    rule("other", () => assert.fail("not its model"), { models: ["x*"] }),
  ]);
  const asking = { ...request(), headers: { "x-llm-d-model-name-rewrite": "ignored" } };
  assert.ok(!(route(asking) instanceof Promise));
  assert.deepEqual(seen, ["m", "b"]);
  assert.deepEqual(asked, ["p/b"]);
  assert.equal(asking.priority, 3);
  assert.equal(asking.traits?.fairnessId, "team");
  assert.deepEqual(
    asking.rules?.map(({ rule: name, result, note }) => [name, result, note]),
    [
      ["first", "changed", "why"],
      ["second", "changed", undefined],
      ["third", "passed", undefined],
    ],
  );
});

const skipped: RoutingRule = {
  applies: () => false,
  apply: () => assert.fail("it does not apply"),
  onFailure: "closed",
  timeoutMs: 1,
};

test("a refusal ends the pass, and names the rule in a header", () => {
  const { asked, refused, route } = setup([
    rule("guard", () => ({ refusal: failure("denied", "No") })),
    rule("after", () => assert.fail("it is over")),
  ]);
  const asking = request();
  const result = route(asking) as Failure;
  assert.deepEqual(
    [result.code, result.message, result.headers],
    ["denied", "No", [["x-spillway-rule", "guard"]]],
  );
  assert.deepEqual(asked, []);
  assert.deepEqual(refused, [result]);
  assert.equal(asking.rules?.[0]?.result, "refused");
});

test("a rule that throws or fails counts by its onFailure", async () => {
  const broken: readonly (readonly [string, Apply])[] = [
    ["throws", () => assert.fail("a fault")],
    ["rejects", () => Promise.reject(new Error("a fault"))],
    ["fails", () => failure("upstream_unreachable", "secret address")],
  ];
  for (const [name, apply] of broken) {
    const open = setup([rule(name, apply, { onFailure: "open" })]);
    const asking = request();
    const routed = (await open.route(asking)) as object;
    assert.ok(!isFailure(routed), name);
    assert.equal(asking.rules?.[0]?.result, "failed");
    const closed = setup([rule(name, apply)]);
    const refusal = (await closed.route(request())) as Failure;
    assert.equal(refusal.code, "rule_failed");
    assert.ok(!refusal.message.includes("secret"));
  }
  const { route } = setup([rule("edit", () => failure("bad_request", "messages: expected a list"))]);
  assert.equal((route(request()) as Failure).code, "bad_request");
});

test("a rule that is late is cut short, and its call is called off", async () => {
  for (const onFailure of ["open", "closed"] as const) {
    let seen: RoutedRequest | undefined;
    const never: Apply = (routed) => {
      seen = routed;
      reasons.push("asked");
      routed.cancellation.listen((reason) => void reasons.push(reason));
      return new Promise(() => {});
    };
    const reasons: string[] = [];
    const { clock, route } = setup([rule("slow", never, { onFailure, timeoutMs: 50 })]);
    const asking = request();
    const result = route(asking) as Promise<object>;
    clock.advance(49);
    await turn();
    assert.deepEqual(reasons, ["asked"]);
    clock.advance(1);
    const ended = await result;
    assert.deepEqual(reasons, ["asked", "deadline"]);
    assert.equal(isFailure(ended) ? ended.code : "routed", onFailure === "open" ? "routed" : "rule_failed");
    assert.deepEqual([asking.rules?.[0]?.result, asking.rules?.[0]?.tookMs], ["late", 50]);
    assert.ok(seen !== undefined);
  }
});

test("no rule outlasts its request", async () => {
  const { clock, route } = setup([rule("slow", () => new Promise(() => {}), { onFailure: "open" })]);
  const result = route(request(30)) as Promise<Failure>;
  clock.advance(30);
  assert.equal((await result).code, "queue_timeout");
});

test("a caller who leaves ends the rule's call in the same turn; a late answer changes nothing", async () => {
  const heard: string[] = [];
  let answer: (result: { model: string }) => void = () => {};
  const { asked, route } = setup([
    rule("slow", (routed) => {
      routed.cancellation.listen((reason) => void heard.push(reason));
      return new Promise((resolve) => (answer = resolve));
    }),
  ]);
  const asking = request();
  const result = route(asking) as Promise<Failure>;
  asking.cancellation.cancel("client_gone");
  assert.deepEqual(heard, ["client_gone"]);
  answer({ model: "b" });
  assert.equal((await result).code, "client_gone");
  assert.deepEqual(asked, []);
});

test("a rule that answers later leaves the request to the stages behind", async () => {
  const { clock, asked, route } = setup([
    rule("one", () => Promise.resolve({ model: "b" })),
    rule("two", () => ({ model: "c" })),
    rule("three", () => Promise.resolve({ payload: relayPayload({ stream: true }) })),
  ]);
  const asking = request();
  await route(asking);
  assert.deepEqual(asked, ["any/c"]);
  assert.equal(asking.payload.stream, true);
  assert.equal(clock.dueInMs(), undefined);
  let gone = false;
  asking.cancellation.listen(() => (gone = true));
  asking.cancellation.cancel("client_gone");
  assert.ok(gone);
});

test("what is no result counts as the rule's failure, and nothing at all as leave to go on", async () => {
  const wrong: readonly unknown[] = [
    { model: 5 },
    { model: "" },
    { pool: {} },
    { priority: "high" },
    { priority: Number.NaN },
    { payload: {} },
    { refusal: "no" },
    { fairnessId: null },
    { payload: "none" },
    5,
    "text",
  ];
  for (const result of wrong) {
    for (const given of [result, Promise.resolve(result)]) {
      const { asked, route } = setup([rule("own", () => given as RuleResult, { onFailure: "closed" })]);
      const refusal = (await route(request())) as Failure;

      assert.equal(refusal.code, "rule_failed", JSON.stringify(result));
      assert.deepEqual(asked, []);
    }
  }
  const { asked, route } = setup([
    rule("one", () => undefined as never),
    rule("two", () => Promise.resolve(undefined as never)),
  ]);
  await route(request());
  assert.deepEqual(asked, ["any/m"]);
});
