import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRule, plainPrompt, routed } from "../../../test/support/rule-fixture.ts";
import type { RoutedRequest, RuleResult } from "../../contracts/plugins/rule.ts";
import { match } from "./match.ts";

/** The note of the case that holds, or undefined. */
function held(when: object, request: Partial<RoutedRequest>): boolean {
  const rule = makeRule(match, { cases: [{ when, do: { pool: "p" } }] });
  return (rule.apply(routed(request)) as RuleResult).pool === "p";
}

test("headers: a text, a beginning, or that they are there at all", () => {
  const headers = { "x-tenant": ["gold", "silver"], "user-agent": "bench/1.0" };
  const cases: readonly (readonly [object, boolean])[] = [
    [{ "X-Tenant": "gold" }, true],
    [{ "x-tenant": "silver" }, false],
    [{ "user-agent": { prefix: "bench/" } }, true],
    [{ "user-agent": { prefix: "curl" } }, false],
    [{ "x-tenant": { present: true } }, true],
    [{ "x-other": { present: false } }, true],
    [{ "x-other": { present: true } }, false],
    [{ "x-other": "" }, false],
    [{ "x-tenant": "gold", "user-agent": "bench" }, false],
  ];
  for (const [wanted, holds] of cases) {
    assert.equal(held({ headers: wanted }, { headers }), holds, JSON.stringify(wanted));
  }
});

test("model, caller, operation, and what the prompt begins with", () => {
  const prompt = plainPrompt({ role: "system", text: "You are Ünder review" }, "hi", "/code fix it");
  const cases: readonly (readonly [object, boolean])[] = [
    [{ model: "gpt-4" }, true],
    [{ model: "gpt-*" }, true],
    [{ model: "gpt" }, false],
    [{ callers: ["a", "team"] }, true],
    [{ callers: ["a"] }, false],
    [{ operations: ["chat"] }, true],
    [{ operations: ["embeddings"] }, false],
    [{ promptPrefix: "You are Ünder" }, true],
    [{ promptPrefix: "hi" }, false],
    [{ messagePrefix: "/code" }, true],
    [{ messagePrefix: "hi" }, false],
    [{}, true],
  ];
  for (const [when, holds] of cases) {
    assert.equal(held(when, { model: "gpt-4", callerId: "team", prompt }), holds, JSON.stringify(when));
  }
  assert.equal(held({ promptPrefix: "a" }, { prompt: undefined }), false);
});

test("the first case that holds counts, and says what it does", () => {
  const rule = makeRule(match, {
    cases: [
      { when: { model: "secret*" }, do: { deny: "Not here" } },
      { when: { model: "m" }, do: { model: "b", pool: "p", priority: -5, fairnessId: "f" } },
      { do: { priority: 1 } },
    ],
  });
  assert.deepEqual(rule.apply(routed({ model: "m" })), {
    model: "b",
    pool: "p",
    priority: -5,
    fairnessId: "f",
    note: "case 2",
  });
  assert.deepEqual(rule.apply(routed({ model: "x" })), { priority: 1, note: "case 3" });
  const { refusal } = rule.apply(routed({ model: "secret-1" })) as RuleResult;
  assert.deepEqual([refusal?.code, refusal?.message], ["denied", "Not here"]);
});

test("the prompt is only read where a case asks for it", () => {
  const needs = (when: object): unknown => {
    const parameters = match.parameters.parse({ cases: [{ when, do: {} }] });
    return match.needsOf?.(parameters).prompt;
  };
  assert.equal(needs({ model: "a" }), false);
  assert.equal(needs({ promptPrefix: "a" }), true);
  assert.equal(needs({ messagePrefix: "a" }), true);
});
