/** Bytes of Ollama's servers for Ollama's callers: kept as they are, and understood on the way. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { failure, isFailure } from "../../core/errors.ts";
import type { AnswerReader, AttemptTarget } from "../../core/forward.ts";
import { cutsOf, feed, KeptAnswer } from "../../../test/support/answers.ts";
import { OllamaPayload } from "./payload.ts";
import { readEnvelope, type PromptMember } from "./read-envelope.ts";

const target: AttemptTarget = { dialect: "ollama", model: "llama3:latest", serves: [] };

function payload(body: string, prompt: PromptMember = "messages", operation: "chat" | "generate" = "chat") {
  const bytes = Buffer.from(body);
  const envelope = readEnvelope(bytes, prompt);
  assert.ok(!isFailure(envelope), isFailure(envelope) ? envelope.message : "");
  return new OllamaPayload({
    operation,
    path: `/api/${operation}`,
    body: bytes,
    envelope,
    translate: undefined,
  });
}

const request = '{"model":"llama3","messages":[{"role":"user","content":"x"}]}';

function reader(out: KeptAnswer): AnswerReader {
  const attempt = payload(request).attempt(target, out);
  assert.ok(!isFailure(attempt));
  return attempt.reader;
}

const stream = [
  '{"model":"llama3","message":{"role":"assistant","content":""},"done":false}',
  '{"model":"llama3","message":{"role":"assistant","content":"\\"done\\":true ü"},"done":false}',
  '{"model":"llama3","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"done":true}}}]},"done":false}',
  '{"model":"llama3","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":26,"eval_count":298}',
  "",
].join("\n");
const type = "application/x-ndjson";

describe("a stream passed on", () => {
  it("keeps every byte, commits with the first content and counts tokens, wherever it is cut", () => {
    const first = `${stream.split("\n")[0]}\n`;
    for (const at of cutsOf(stream)) {
      const kept = feed(reader, { type, body: stream, at });
      assert.equal(kept.sent, stream);
      assert.equal(kept.committedAfter, first, `cut at ${at}`);
      assert.deepEqual(kept.tokens, {
        promptTokens: 26,
        cachedTokens: 0,
        completionTokens: 298,
        estimated: false,
      });
      assert.equal(kept.ended, true);
      assert.equal(kept.failure, undefined);
    }
  });

  it("that ends without `done` is no good end, wherever it ends", () => {
    const whole = Buffer.from(stream);
    const last = whole.lastIndexOf("{");
    for (let length = 0; length < whole.length - 1; length++) {
      const kept = feed(reader, { type, body: whole.toString("latin1", 0, length) });
      if (length === whole.length - 1) continue;
      assert.notEqual(kept.failure, undefined, `${length} of ${last}`);
      if (kept.ended) assert.match(kept.sent, /\{"error":"[^"]+"\}\n$/);
    }
  });

  it("passes the server's own error line on, and hides what is no line of Ollama's", () => {
    const lines = stream.split("\n");
    const told = feed(reader, { type, body: `${lines[1]}\n{"error":"an \\"odd\\" end"}\n` });
    assert.equal(told.failure?.code, "model_failed");
    assert.equal(told.sent, `${lines[1]}\n{"error":"an \\"odd\\" end"}\n`);
    const malformed = feed(reader, { type, body: `${lines[1]}\n<html>oops</html>\n` });
    assert.equal(malformed.ended, true);
    assert.ok(!malformed.sent.includes("oops"));
    const early = feed(reader, { type, body: '{"error":"no memory"}\n' });
    assert.deepEqual([early.ended, early.failure?.message], [false, "no memory"]);
    const cut = feed(reader, { type, body: `${lines[1]}\n`, end: { cut: failure("bad_upstream_answer") } });
    assert.equal(cut.ended, true);
  });

  it("estimates tokens where the server tells none", () => {
    const body = '{"message":{"content":"12345678"},"done":false}\n{"done":true}\n';
    assert.deepEqual(feed(reader, { type, body }).tokens, {
      promptTokens: payload(request).estimate.promptTokens,
      cachedTokens: 0,
      completionTokens: 2,
      estimated: true,
    });
  });
});

describe("a request passed on", () => {
  it("keeps its bytes for the same model under another name of it, and names another where a route says so", () => {
    const sent = (model: string): string => {
      const attempt = payload(request).attempt({ ...target, model }, new KeptAnswer());
      assert.ok(!isFailure(attempt));
      return Buffer.from(attempt.body).toString();
    };
    assert.equal(sent("llama3"), request);
    assert.equal(sent("llama3:latest"), request);
    assert.equal(sent("qwen:7b"), request.replace('"llama3"', '"qwen:7b"'));
  });

  it("without a prompt loads a model: no tokens, and an answer in one piece", () => {
    for (const body of [
      '{"model":"m"}',
      '{"model":"m","prompt":"","keep_alive":0}',
      '{"model":"m","prompt":null}',
    ]) {
      const load = payload(body, "prompt", "generate");
      assert.deepEqual([load.stream, load.estimate], [false, { promptTokens: 0, maxCompletionTokens: 0 }]);
    }
    const attempt = payload('{"model":"m","messages":[ ]}').attempt(target, new KeptAnswer());
    assert.ok(!isFailure(attempt));
    const kept = feed(
      (out) => {
        const again = payload('{"model":"m","messages":[ ]}').attempt(target, out);
        assert.ok(!isFailure(again));
        return again.reader;
      },
      { type: "application/json", body: '{"model":"m","done":true,"done_reason":"load"}' },
    );
    assert.deepEqual([kept.ended, kept.tokens?.promptTokens, kept.tokens?.estimated], [true, 0, false]);
  });

  it("is read for its limit, and a picture counts as one however large it is", () => {
    const picture = "A".repeat(40_000);
    const body = `{"model":"m","messages":[{"role":"user","content":"x","images":["${picture}"]}],"options":{"num_predict":9}}`;
    const { estimate } = payload(body);
    assert.ok(estimate.promptTokens > 1000 && estimate.promptTokens < 1040);
    assert.equal(estimate.maxCompletionTokens, 9);
  });

  it("says what is wrong with it", () => {
    for (const [body, field] of [
      ["{}", "model"],
      ['{"model":1}', "model"],
      ['{"model":"m","stream":1}', "stream"],
    ]) {
      const result = readEnvelope(Buffer.from(body ?? ""), "messages");
      assert.ok(isFailure(result) && result.field === field);
    }
    assert.ok(isFailure(readEnvelope(Buffer.from("[]"), "messages")));
  });
});
