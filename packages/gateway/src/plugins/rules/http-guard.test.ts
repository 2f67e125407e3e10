import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRule, plainPrompt, routed } from "../../../test/support/rule-fixture.ts";
import { scriptedCallout, type ScriptedCallout } from "../../../test/support/scripted-callout.ts";
import type { RoutedRequest, RuleResult } from "../../contracts/plugins/rule.ts";
import { failure, isFailure } from "../../core/errors.ts";
import { httpGuard } from "./http-guard.ts";

const url = "http://guard.example/check";
const prompt = plainPrompt({ role: "system", text: "S" }, "first", "Last words");

/** `allowed`, `denied: why`, or `failed: why`. */
async function verdict(
  script: ScriptedCallout,
  parameters: object = {},
  request: Partial<RoutedRequest> = { prompt },
): Promise<string> {
  const rule = makeRule(httpGuard, { url, ...parameters }, { callout: script.factory });
  const result = (await rule.apply(routed(request))) as RuleResult;
  if (isFailure(result)) return `failed: ${result.message}`;
  return result.refusal === undefined ? "allowed" : `${result.refusal.code}: ${result.refusal.message}`;
}

test("the service decides, and says why", async () => {
  const script = scriptedCallout({ allow: true }, { allow: false, reason: "Rude" }, { allow: false });
  assert.equal(await verdict(script), "allowed");
  assert.deepEqual(script.questions[0], {
    request_id: "request-1",
    model: "m",
    caller: "local",
    operation: "chat",
    messages: [{ role: "user", content: "Last words" }],
  });
  assert.equal(await verdict(script), "denied: Rude");
  assert.equal(await verdict(script, { reason: "House rules" }), "denied: House rules");
});

test("the whole conversation is sent where it is asked for", async () => {
  const script = scriptedCallout({ allow: true });
  await verdict(script, { send: "conversation" });
  const { messages } = script.questions[0] as { messages: unknown[] };
  assert.equal(messages.length, 3);
});

test("answers as those of OpenAI's moderations", async () => {
  const flagged = {
    results: [{ flagged: false }, { flagged: true, categories: { violence: true, hate: false } }],
  };
  const script = scriptedCallout(flagged, { results: [{ flagged: false, categories: {} }] });
  const format = { format: "moderations", send: "conversation" };
  assert.equal(await verdict(script, format), "denied: Flagged: violence");
  assert.deepEqual(script.questions[0], { input: ["S", "first", "Last words"] });
  assert.equal(await verdict(script, format), "allowed");
});

test("what is no verdict is a failure, never leave to go on", async () => {
  for (const answer of [
    {},
    { allow: "true" },
    { allow: 1 },
    "<html>",
    failure("upstream_unreachable", "down"),
  ]) {
    assert.match(await verdict(scriptedCallout(answer)), /^failed/, JSON.stringify(answer));
  }
  for (const answer of [
    { results: [] },
    { results: [{}] },
    { results: [{ flagged: "no" }] },
    { allow: true },
  ]) {
    const told = await verdict(scriptedCallout(answer), { format: "moderations" });
    assert.match(told, /^failed/, JSON.stringify(answer));
  }
  assert.equal(makeRule(httpGuard, { url }, { callout: scriptedCallout().factory }).onFailure, "closed");
});

test("the service is never asked about a part of what is said", async () => {
  const script = scriptedCallout({ allow: true });
  assert.match(await verdict(script, { maxQueryBytes: 5 }), /^failed: .*more text than is checked/);
  assert.match(await verdict(script, { maxQueryBytes: 5, send: "conversation" }), /^failed/);
  assert.match(await verdict(script, {}, { prompt: failure("bad_request", "twice") }), /^failed: twice/);
  assert.equal(script.questions.length, 0);
  assert.equal(await verdict(script, {}, { prompt: undefined }), "allowed");
});
