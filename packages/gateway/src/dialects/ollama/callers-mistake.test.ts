/** Which errors of an Ollama are its caller's mistakes: those that a real one sent, and none that tell of a sick server. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isCallersMistake } from "./callers-mistake.ts";

/** What a real Ollama answered. */
function recorded(name: string): { readonly status: number; readonly body: Buffer } {
  const file = new URL(`../../../../../test/fixtures/ollama/exchanges/${name}.json`, import.meta.url);
  const found: unknown = JSON.parse(readFileSync(file, "utf8"));
  const { response } = found as { response: { status: number; pieces: readonly string[] } };
  return { status: response.status, body: Buffer.from(response.pieces.join("")) };
}

test("mistakes that a real Ollama answered with 500", () => {
  for (const name of ["chat-format-wrong", "chat-option-wrong"]) {
    const { status, body } = recorded(name);
    assert.equal(status, 500, name);
    assert.equal(isCallersMistake(status, body), true, name);
    assert.equal(isCallersMistake(503, body), false, name);
    const { error } = JSON.parse(body.toString()) as { error: string };
    const asOpenAi = JSON.stringify({
      error: { message: error, type: "api_error", param: null, code: null },
    });
    assert.equal(isCallersMistake(status, Buffer.from(asOpenAi)), true, asOpenAi);
  }
  const blind =
    "Failed to create new sequence: failed to process inputs: this model is missing data required for image input";
  assert.equal(isCallersMistake(500, Buffer.from(JSON.stringify({ error: blind }))), true);
});

test("pictures, sounds and films for a llama.cpp server whose model has no sense for them", () => {
  for (const kind of ["image", "audio", "video"]) {
    const message = `${kind} input is not supported - hint: if this is unexpected, you may need to provide the mmproj`;
    const body = JSON.stringify({ error: { code: 500, message, type: "server_error" } });
    assert.equal(isCallersMistake(500, Buffer.from(body)), true, kind);
  }
});

test("errors of the server itself", () => {
  for (const error of [
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details",
    "llama runner process has terminated: exit status 2",
    "Failed to create new sequence: failed to process inputs: out of memory",
    "could not find an available sequence",
    "",
  ]) {
    assert.equal(isCallersMistake(500, Buffer.from(JSON.stringify({ error }))), false, error);
  }
  assert.equal(isCallersMistake(500, Buffer.alloc(0)), false);
});
