import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { findModels } from "./find-models.ts";

function folderWith(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(path.join(tmpdir(), "spw-find-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return folder;
}

test("a model is a file, or the file of a folder's highest version", async (t) => {
  const folder = folderWith(t, {
    "plain.gguf": "1",
    "qwen/2/q.gguf": "22",
    "qwen/10/q.gguf": "333",
    "loose/model.gguf": "4444",
    "iris/1/model.onnx": "",
    "notes.txt": "",
    ".hidden.gguf": "",
  });
  const found = await findModels([folder]);
  assert.deepEqual(
    found.map(({ name, file, bytes }) => [name, path.relative(folder, file), bytes]),
    [
      ["loose", "loose/model.gguf", 4],
      ["plain", "plain.gguf", 1],
      ["qwen", "qwen/10/q.gguf", 3],
    ],
  );
});

test("a file in parts is one model; image projectors are none", async (t) => {
  const folder = folderWith(t, {
    "big-00001-of-00002.gguf": "12",
    "big-00002-of-00002.gguf": "345",
    "cut-00001-of-00002.gguf": "12",
    "vision/mmproj-model.gguf": "1",
    "vision/model.gguf": "1",
  });
  const found = await findModels([folder]);
  assert.deepEqual(
    found.map(({ name, file, bytes }) => [name, path.relative(folder, file), bytes]),
    [
      ["big", "big-00001-of-00002.gguf", 5],
      ["vision", "vision/model.gguf", 1],
    ],
  );
});

test("of one name in two folders the first counts; a folder that is not there has none", async (t) => {
  const [one, two] = [folderWith(t, { "same.gguf": "1" }), folderWith(t, { "same.gguf": "22" })];
  const found = await findModels(["/nowhere/at/all", two, one]);
  assert.deepEqual(
    found.map(({ name, bytes }) => [name, bytes]),
    [["same", 2]],
  );
});
