import assert from "node:assert/strict";
import { test } from "node:test";
import { relayPayload } from "../../../test/support/forward-fixture.ts";
import { makeRule, plainPrompt, routed } from "../../../test/support/rule-fixture.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { ForwardPayload, PromptEdit } from "../../core/forward.ts";
import type { RuleResult } from "../../contracts/plugins/rule.ts";
import { systemPrompt } from "./system-prompt.ts";

const prompt = plainPrompt("Hi");

/** A payload that notes its edits and gives what it is told. */
function editable(result: ForwardPayload | Failure | "itself"): {
  readonly payload: ForwardPayload;
  readonly edits: PromptEdit[];
} {
  const edits: PromptEdit[] = [];
  const payload: ForwardPayload = {
    ...relayPayload(),
    edited: (edit) => (edits.push(edit), result === "itself" ? payload : result),
  };
  return { payload, edits };
}

test("calls that take instructions get them, others are let through", () => {
  const rule = makeRule(systemPrompt, { text: "Be kind" });
  const { payload } = editable("itself");
  const takes = (
    ["chat", "responses", "messages", "count_tokens", "generate", "completions", "embeddings"] as const
  ).map((operation) => rule.applies(routed({ operation, payload, prompt })));
  assert.deepEqual(takes, [true, true, true, true, true, false, false]);
  assert.equal(rule.applies(routed({ prompt })), false);
});

test("the edit is the configured one; a call that it leaves as it is has passed", () => {
  const other = relayPayload();
  const { payload, edits } = editable(other);
  const rule = makeRule(systemPrompt, { text: "Be kind", place: "after" });
  assert.equal((rule.apply(routed({ payload, prompt })) as RuleResult).payload, other);
  assert.deepEqual(edits, [{ system: { text: "Be kind", place: "after" } }]);
  assert.deepEqual(rule.apply(routed({ payload: editable("itself").payload, prompt })), {});
});

test("a prompt that cannot be read or edited is the rule's failure, so that nothing goes without instructions", () => {
  const reason = failure("bad_request", "messages: expected a list");
  const rule = makeRule(systemPrompt, { text: "Be kind" });
  assert.equal(rule.onFailure, "closed");
  assert.equal(rule.apply(routed({ payload: editable(reason).payload, prompt })), reason);
  assert.equal(rule.apply(routed({ payload: editable("itself").payload, prompt: reason })), reason);
});
