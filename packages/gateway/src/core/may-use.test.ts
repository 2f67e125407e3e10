import assert from "node:assert/strict";
import { test } from "node:test";
import { mayUse } from "./may-use.ts";
import { isSameModel, otherName, withTag } from "./model-name.ts";

test("a name without a tag is the one tagged latest; a registry's port is no tag", () => {
  assert.equal(withTag("llama3"), "llama3:latest");
  assert.equal(withTag("host:5000/lib/llama3"), "host:5000/lib/llama3:latest");
  assert.equal(withTag("llama3:8b"), "llama3:8b");
  assert.deepEqual(["llama3", "llama3:latest", "llama3:8b", "host:5000/m"].map(otherName), [
    "llama3:latest",
    "llama3",
    undefined,
    "host:5000/m:latest",
  ]);
  assert.equal(isSameModel("llama3:latest", "llama3"), true);
  assert.equal(isSameModel("llama3:8b", "llama3"), false);
});

test("a key bound to models may use them under either name, and nothing else", () => {
  const may = (models: readonly string[] | undefined, ...names: readonly string[]): readonly boolean[] =>
    names.map((name) => mayUse(models === undefined ? {} : { models }, name));
  assert.deepEqual(may(undefined, "anything"), [true]);
  assert.deepEqual(may([], "anything"), [false]);
  assert.deepEqual(may(["llama3"], "llama3", "llama3:latest", "llama3:8b", "llama"), [
    true,
    true,
    false,
    false,
  ]);
  assert.deepEqual(may(["llama3:latest"], "llama3", "llama3:latest", "llama3.1"), [true, true, false]);
  assert.deepEqual(may(["llama3:8b"], "llama3", "llama3:8b"), [false, true]);
  assert.deepEqual(may(["llama3*"], "llama3", "llama3.1:8b", "qwen"), [true, true, false]);
  assert.deepEqual(may(["llama3:*"], "llama3", "llama3:8b", "llama3.1"), [true, true, false]);
});
