/** What a real llama.cpp server answered (test/fixtures/llama-server), through the gateway. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import { startSimulator } from "@spillway/simulator";
import { gatewayOver } from "../harness/gateway-over.ts";
import type { Exchange } from "../harness/ollama-recording/exchange.ts";
import { startReplayed } from "../harness/replayed-ollama.ts";

const file = new URL("../fixtures/llama-server/exchanges.json", import.meta.url);
const exchanges = JSON.parse(readFileSync(file, "utf8")) as readonly Exchange[];
const messages = [{ role: "user", content: "hi" }];
const chat = { messages, max_tokens: 4, temperature: 0 };

const routes = Object.entries({
  sure: "confidence: 0.001",
  unsure: "confidence: 0.95",
  wide: "margin: 0.01",
  narrow: "margin: 0.9",
}).map(
  ([model, when]) =>
    `{ model: ${model}, targets: [{ pool: box, model: tiny }],
       escalate: { to: { pool: cloud, model: large }, when: { ${when} }, holdback: answer } }`,
);

/** Asks a gateway over the recorded server, and a simulated one behind it. */
async function setUp(
  t: TestContext,
): Promise<(path: string, body: object) => Promise<{ readonly answer: Response; readonly text: string }>> {
  const cloud = await startSimulator({ face: "vllm", models: ["large"] });
  t.after(() => cloud.close());
  const server = await startReplayed(t, { exchanges });
  const pools = { box: [server.url], cloud: [cloud.url] };
  const { url } = await gatewayOver(t, pools, `routes: [${routes.join(", ")}]`);
  return async (path, body) => {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
    const text = await answer.text();
    assert.deepEqual(
      server.unknown.filter((call) => call.startsWith("POST /v1")),
      [],
    );
    return { answer, text };
  };
}

const asked = {
  "/v1/chat/completions": chat,
  "/v1/completions": { prompt: "hi", max_tokens: 4, temperature: 0 },
  "/v1/messages": chat,
  "/api/chat": { messages, options: { num_predict: 4, temperature: 0 } },
} as const;

describe("log-probabilities of a real llama.cpp server", () => {
  for (const [path, body] of Object.entries(asked)) {
    for (const stream of [false, true]) {
      it(`decide whether its answer is given: ${path}, ${stream ? "streamed" : "whole"}`, async (t) => {
        const ask = await setUp(t);
        const reasons: Record<string, string | null> = {};
        for (const model of ["sure", "unsure", "wide", "narrow"]) {
          const { answer, text } = await ask(path, { ...body, model, stream });
          assert.equal(answer.status, 200, text);
          assert.doesNotMatch(text, /"(?:top_)?logprobs?":[{[-]/);
          reasons[model] = answer.headers.get("x-spillway-escalation");
        }
        assert.deepEqual(reasons, { sure: null, unsure: "confidence", wide: null, narrow: "margin" });
      });
    }
  }

  it("reach a caller who asks for them", async (t) => {
    const ask = await setUp(t);
    for (const stream of [false, true]) {
      const body = { ...chat, model: "tiny", stream, logprobs: true, top_logprobs: 2 };
      assert.match((await ask("/v1/chat/completions", body)).text, /"logprob":-0\.355/);
    }
  });
});

describe("a real llama.cpp server", () => {
  it("answers messages and responses at its own addresses", async (t) => {
    const ask = await setUp(t);
    for (const stream of [false, true]) {
      const { text } = await ask("/v1/messages", { ...chat, model: "tiny", stream });
      assert.match(text, stream ? /event: message_stop/ : /"stop_reason":"max_tokens"/);
      const response = { input: "hi", max_output_tokens: 4, temperature: 0, model: "tiny", stream };
      assert.match((await ask("/v1/responses", response)).text, stream ? /response\.completed/ : /0AP4/);
    }
  });

  it("is not taken for sick because of pictures that its model cannot see", async (t) => {
    const ask = await setUp(t);
    const image = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
    const body = { model: "tiny", ...chat, messages: [{ role: "user", content: [image] }] };
    for (let i = 0; i < 12; i++) assert.equal((await ask("/v1/chat/completions", body)).answer.status, 500);
    const { answer } = await ask("/v1/chat/completions", { model: "tiny", max_tokens: 3, messages });
    assert.equal(answer.status, 200);
  });

  it("says that a prompt is too long, whole and streamed, in the caller's form", async (t) => {
    const ask = await setUp(t);
    const long = [{ role: "user", content: "abc ".repeat(600) }];
    for (const stream of [false, true]) {
      const plain = await ask("/v1/chat/completions", { ...chat, model: "tiny", stream, messages: long });
      const { error } = JSON.parse(plain.text) as { error: { type: string; n_ctx: number } };
      assert.deepEqual(
        [plain.answer.status, error.type, error.n_ctx],
        [400, "exceed_context_size_error", 2048],
      );
      const translated = await ask("/api/chat", { model: "tiny", stream, messages: long });
      assert.equal(translated.answer.status, 400);
      assert.match(translated.text, /^\{"error":"request \(2423 tokens\) exceeds/);
    }
  });
});
