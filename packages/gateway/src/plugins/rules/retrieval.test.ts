import assert from "node:assert/strict";
import { test } from "node:test";
import { relayPayload } from "../../../test/support/forward-fixture.ts";
import { makeRule, plainPrompt, routed } from "../../../test/support/rule-fixture.ts";
import { scriptedCallout } from "../../../test/support/scripted-callout.ts";
import type { RoutedRequest, RoutingRule, RuleResult } from "../../contracts/plugins/rule.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { ForwardPayload, PromptEdit } from "../../core/forward.ts";
import { createManualClock } from "../../testing.ts";
import { retrieval } from "./retrieval.ts";

const url = "http://rag.example/find";

/** Asks a rule; gives the context that it puts in, or what it says instead. */
async function contextOf(rule: RoutingRule, request: Partial<RoutedRequest>): Promise<string | undefined> {
  let context: string | undefined;
  const payload: ForwardPayload = {
    ...relayPayload(),
    edited: (edit: PromptEdit) => ((context = edit.context), relayPayload()),
  };
  const result = (await rule.apply(routed({ payload, ...request }))) as RuleResult & Partial<Failure>;
  return result.code === undefined ? context : `${result.code}: ${result.message}`;
}

test("the caller's last message is asked about; text or chunks go before it", async () => {
  const script = scriptedCallout(
    { text: "Rain $& at noon" },
    { chunks: ["One", { text: " Two ", score: 0.5 }, ""] },
    { chunks: [] },
  );
  const headers = { Authorization: "Bearer x" };
  const parameters = { url, headers, topK: 3, template: "<{context}>" };
  const rule = makeRule(retrieval, parameters, { callout: script.factory });
  assert.deepEqual(script.targets[0]?.headers, [["authorization", "Bearer x"]]);
  const prompt = plainPrompt({ role: "system", text: "S" }, "first", "weather?");
  assert.equal(await contextOf(rule, { prompt }), "<Rain $& at noon>");
  assert.deepEqual(script.questions[0], {
    query: "weather?",
    model: "m",
    request_id: "request-1",
    caller: "local",
    top_k: 3,
  });
  assert.equal(await contextOf(rule, { prompt: plainPrompt("two") }), "<One\n\nTwo>");
  assert.equal(await contextOf(rule, { prompt: plainPrompt("three") }), undefined);
});

test("what was found is kept for each caller and model, for its time", async () => {
  const clock = createManualClock();
  const script = scriptedCallout({ text: "A" });
  const parameters = { url, cache: { ttlMs: 1_000, entries: 8 } };
  const rule = makeRule(retrieval, parameters, { callout: script.factory, clock });
  const prompt = plainPrompt("weather?");
  for (let i = 0; i < 3; i++) await contextOf(rule, { prompt });
  assert.equal(script.questions.length, 1);
  await contextOf(rule, { prompt, callerId: "other" });
  await contextOf(rule, { prompt, model: "n" });
  assert.equal(script.questions.length, 3);
  clock.advance(1_000);
  await contextOf(rule, { prompt });
  assert.equal(script.questions.length, 4);
});

test("answers of no use are failures, and are not kept", async () => {
  const script = scriptedCallout(
    "<html>Please log in</html>",
    { status: 500, headers: {}, body: Buffer.from("{}") },
    { status: 200, headers: {}, body: Buffer.from("[1]") },
    { status: 200, headers: {}, body: Buffer.from("{") },
    { found: "nothing that is known" },
    { chunks: [{ no: "text" }] },
    failure("upstream_unreachable", "refused"),
    { text: "A" },
  );
  const rule = makeRule(retrieval, { url }, { callout: script.factory });
  const prompt = plainPrompt("weather?");
  const told: (string | undefined)[] = [];
  for (let i = 0; i < 7; i++) told.push(await contextOf(rule, { prompt }));
  assert.match(told[0] ?? "", /^bad_upstream_answer: .*text\/html instead of JSON/);
  assert.match(told[1] ?? "", /answered 500/);
  for (const each of told.slice(2, 4)) assert.match(each ?? "", /no JSON object/);
  for (const each of told.slice(4, 6)) assert.match(each ?? "", /neither text nor chunks/);
  assert.match(told[6] ?? "", /^upstream_unreachable/);
  assert.match((await contextOf(rule, { prompt })) ?? "", /A$/);
  assert.equal(rule.onFailure, "open");
});

test("what is used is bounded: whole pieces, and the beginning of a first that is too long", async () => {
  const script = scriptedCallout({ chunks: ["12345", "67890", "x"] }, { text: "1234567890😀" });
  const parameters = { url, maxContextChars: 12, template: "{context}" };
  const rule = makeRule(retrieval, parameters, { callout: script.factory });
  assert.equal(await contextOf(rule, { prompt: plainPrompt("a") }), "12345\n\n67890");
  const short = makeRule(retrieval, { ...parameters, maxContextChars: 11 }, { callout: script.factory });
  assert.equal(await contextOf(short, { prompt: plainPrompt("b") }), "1234567890\ufffd");
});

test("nothing is asked where the caller has said nothing", async () => {
  const script = scriptedCallout({ text: "A" });
  const rule = makeRule(retrieval, { url }, { callout: script.factory });
  for (const prompt of [undefined, plainPrompt(), plainPrompt("  ")]) {
    assert.equal(await contextOf(rule, { prompt }), undefined);
  }
  assert.equal(script.questions.length, 0);
  const payload = { ...relayPayload(), edited: () => relayPayload() };
  assert.equal(rule.applies(routed({ operation: "embeddings", payload })), false);
});

test("parameters that cannot work are refused", () => {
  for (const parameters of [
    {},
    { url: "ftp://x" },
    { url, template: "no hole" },
    { url, headers: { "a b": "c" } },
  ]) {
    assert.equal(retrieval.parameters.safeParse(parameters).success, false);
  }
  assert.throws(() => makeRule(retrieval, { url }), /services cannot be asked/);
});
