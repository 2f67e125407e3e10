import assert from "node:assert/strict";
import { test } from "node:test";
import { relayPayload } from "../../../test/support/forward-fixture.ts";
import { makeRule, plainPrompt, routed } from "../../../test/support/rule-fixture.ts";
import type { RoutedRequest, RuleResult } from "../../contracts/plugins/rule.ts";
import { failure, isFailure } from "../../core/errors.ts";
import { validate } from "./validate.ts";

/** `code: message` of the refusal; `passed`; `failed: …`. */
function check(parameters: object, request: Partial<RoutedRequest>): string {
  const result = makeRule(validate, parameters).apply(routed(request)) as RuleResult;
  if (isFailure(result)) return `failed: ${result.message}`;
  const { refusal } = result;
  return refusal === undefined ? "passed" : `${refusal.code}: ${refusal.message}`;
}

test("operations, tokens, bytes and messages have bounds", () => {
  const prompt = plainPrompt("one", "two");
  const asks = (maxCompletionTokens: number | undefined): Partial<RoutedRequest> => ({
    prompt,
    payload: { ...relayPayload(), estimate: { promptTokens: 100, maxCompletionTokens } },
  });
  assert.match(check({ operations: ["messages"] }, { prompt }), /^denied: chat is not let through/);
  assert.equal(check({ operations: ["chat"] }, { prompt }), "passed");
  assert.match(check({ maxPromptTokens: 99 }, asks(5)), /^body_too_large: .*about 100 tokens; at most 99/);
  assert.match(check({ maxTokens: 4 }, asks(5)), /^bad_request: 5 tokens are asked for; at most 4/);
  assert.equal(check({ maxTokens: 4 }, asks(undefined)), "passed");
  assert.match(check({ requireMaxTokens: true }, asks(undefined)), /^bad_request/);
  assert.match(check({ maxBytes: 10 }, { prompt }), /^body_too_large: .* bytes; at most 10/);
  assert.match(check({ maxMessages: 1 }, { prompt }), /^body_too_large: .* 2 messages; at most 1/);
  assert.equal(check({ maxMessages: 2, maxBytes: 1_000 }, { prompt }), "passed");
});

test("a body that does not fit the schema is told where", () => {
  const schema = { properties: { messages: { items: { properties: { role: { enum: ["system"] } } } } } };
  const prompt = plainPrompt({ role: "system", text: "a" }, "b");
  assert.match(check({ schema }, { prompt }), /^bad_request: messages.1.role is not as/);
  assert.equal(check({ schema: { required: ["messages"] } }, { prompt }), "passed");
  const large = { ...prompt, bytes: Buffer.alloc(262_145, " ") };
  assert.match(check({ schema }, { prompt: large }), /^body_too_large/);
  assert.match(check({ schema }, { prompt: { ...prompt, bytes: Buffer.from("{") } }), /^invalid_json/);
});

test("what may not be said is denied, with the reason that is configured and no other", () => {
  const deny = ["\\b\\d{4}-\\d{4}\\b", { pattern: "password", ignoreCase: true, reason: "No passwords" }];
  assert.equal(check({ deny }, { prompt: plainPrompt("my PassWord") }), "denied: No passwords");
  assert.match(check({ deny }, { prompt: plainPrompt("1234-5678", "x") }), /^denied: A rule of this gateway/);
  assert.equal(check({ deny }, { prompt: plainPrompt("12345678") }), "passed");
  const answered = plainPrompt({ role: "assistant", text: "your password" }, "thanks");
  assert.equal(check({ deny, denyIn: "user" }, { prompt: answered }), "passed");
  assert.equal(check({ deny }, { prompt: answered }), "denied: No passwords");
  assert.match(check({ deny, maxCheckedBytes: 5 }, { prompt: answered }), /^body_too_large/);
});

test("what cannot be read is refused; an operation without a prompt passes", () => {
  const broken = failure("bad_request", "messages: expected a list");
  assert.equal(check({ deny: ["a"] }, { prompt: broken }), "bad_request: messages: expected a list");
  assert.equal(check({ deny: ["a"] }, { prompt: undefined, operation: "embeddings" }), "passed");
});

test("patterns and schemas that would not be checked are refused before anything is served", () => {
  const refused: readonly (readonly [object, RegExp])[] = [
    [{ deny: ["(a)\\1"] }, /refers back/],
    [{ deny: [{ pattern: "(?=a)" }] }, /looks around/],
    [{ schema: { properties: { a: { pattern: "^a" } } } }, /the word pattern is not checked/],
    [{ maxByte: 1 }, /maxByte/],
  ];
  for (const [parameters, why] of refused) {
    const result = validate.parameters.safeParse(parameters);
    assert.ok(!result.success);
    assert.match(JSON.stringify(result.error.issues), why);
  }
});
