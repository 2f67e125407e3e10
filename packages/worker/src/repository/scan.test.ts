/** Repositories on disk, whole and broken. */
import assert from "node:assert/strict";
import { rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { temporaryRepository, writeFiles } from "../../test/support/temporary.ts";
import { defaultModelConfig } from "./model-config.ts";
import { scanRepository } from "./scan.ts";
import { selectVersions } from "./versions.ts";

async function scan(context: TestContext, files: Record<string, string>) {
  return scanRepository(await temporaryRepository(context, files));
}

test("versions are ordered by number and the latest is selected", async (context) => {
  const { models } = await scan(context, { "a/10/model.onnx": "x", "a/9/model.onnx": "x", "a/notes/x": "" });
  const model = models.get("a");
  assert.deepEqual(
    model?.versions.map((version) => version.version),
    ["9", "10"],
  );
  assert.deepEqual(model.selected, ["10"]);
  assert.equal(model.versions[1]?.engine, "onnx");
});

test("policies", () => {
  const policy = { ...defaultModelConfig().versions, count: 2 };
  assert.deepEqual(selectVersions(["2", "10", "1"], policy), ["2", "10"]);
  assert.deepEqual(selectVersions(["2", "10", "1"], { ...policy, policy: "all" }), ["1", "2", "10"]);
  assert.deepEqual(selectVersions(["2", "10"], { ...policy, policy: "specific", list: [10, 3] }), ["10"]);
});

test("a broken model.yaml is told and disturbs no other model", async (context) => {
  const { models } = await scan(context, {
    "bad/model.yaml": "engine: onx",
    "bad/1/model.onnx": "",
    "good/1/model.onnx": "",
  });
  assert.match(models.get("bad")?.error ?? "", /^bad\/model\.yaml:1: engine: expected one of/);
  assert.deepEqual(models.get("bad")?.selected, []);
  assert.equal(models.get("good")?.error, undefined);
});

test("a broken version is told and disturbs no other version", async (context) => {
  const { models } = await scan(context, {
    "a/model.yaml": "versions: { policy: all }",
    "a/1/model.onnx": "",
    "a/2/model.yaml": "instance: 1",
    "a/2/model.onnx": "",
    "a/3/readme": "",
  });
  const [first, second, third] = models.get("a")?.versions ?? [];
  assert.equal(first?.error, undefined);
  assert.match(second?.error ?? "", /^a\/2\/model\.yaml:1: instance: unknown key/);
  assert.match(third?.error ?? "", /^a\/3: expected the file a\/3\/model\.onnx/);
});

test("a folder of GGUF files is no model of the workers", async (context) => {
  const { models, ignored } = await scan(context, {
    "qwen/1/qwen.gguf": "x",
    "mixed/1/model.onnx": "x",
    "mixed/1/extra.gguf": "x",
    "told/model.yaml": "engine: onnx",
    "told/1/x.gguf": "x",
  });
  assert.deepEqual([...models.keys()], ["mixed", "told"]);
  assert.deepEqual(ignored, [{ name: "qwen", reason: "its GGUF files are for the llama engine" }]);
});

test("text and mock models need no version folder", async (context) => {
  const { models } = await scan(context, {
    "say/model.yaml": "engine: text",
    "none/model.yaml": "instances: 1",
  });
  assert.deepEqual(models.get("say")?.selected, ["1"]);
  assert.equal(models.get("say")?.versions[0]?.engine, "text");
  assert.match(
    models.get("none")?.error ?? "",
    /no version folder; put the model file at none\/1\/model\.onnx/,
  );
});

test("what is no model is left out, with the reason", async (context) => {
  const { models, ignored } = await scan(context, {
    "_cache/1/model.onnx": "",
    ".git/1/model.onnx": "",
    "docs/page.md": "",
    "README.md": "",
  });
  assert.equal(models.size, 0);
  assert.deepEqual(
    ignored.map((entry) => entry.name),
    ["_cache", "docs"],
  );
});

test("a specific version that is not there", async (context) => {
  const { models } = await scan(context, {
    "a/model.yaml": "versions: { policy: specific, list: [7] }",
    "a/1/model.onnx": "",
  });
  assert.equal(models.get("a")?.error, "a/model.yaml: versions.list: none of 7 is there; found 1");
});

test("`only` never leaves the repository", async (context) => {
  const outside = await temporaryRepository(context, {
    "repo/a/1/model.onnx": "",
    "secret/1/model.onnx": "",
  });
  const repository = join(outside, "repo");
  for (const only of ["../secret", "..", ".", "/", "a/../../secret", ""])
    assert.equal((await scanRepository(repository, { only })).models.size, 0, only);
  assert.deepEqual([...(await scanRepository(repository, { only: "a" })).models.keys()], ["a"]);
});

test("the fingerprint follows files and both model.yaml, and what is unchanged is taken over", async (context) => {
  const folder = await temporaryRepository(context, { "a/1/model.onnx": "one", "b/1/model.onnx": "one" });
  const first = await scanRepository(folder);
  const print = (snapshot: typeof first, name = "a") => snapshot.models.get(name)?.versions[0]?.fingerprint;
  const prints = [print(first)];
  const steps: (() => Promise<void>)[] = [
    () => writeFile(join(folder, "a/1/model.onnx"), "longer"),
    () => utimes(join(folder, "a/1/model.onnx"), 1, 1),
    () => writeFiles(folder, { "a/1/weights/part": "x" }),
    () => writeFiles(folder, { "a/model.yaml": "instances: 2" }),
    () => writeFiles(folder, { "a/1/model.yaml": "instances: 3" }),
    () => rm(join(folder, "a/1/weights"), { recursive: true }),
  ];
  let previous = first;
  for (const step of steps) {
    await step();
    const next = await scanRepository(folder, { previous });
    prints.push(print(next));
    assert.equal(next.models.get("b")?.versions[0], first.models.get("b")?.versions[0]);
    previous = next;
  }
  assert.equal(new Set(prints).size, prints.length);
  assert.equal(previous.models.get("a")?.versions[0]?.config?.instances, 3);
});

test("too many versions are refused", async (context) => {
  const files = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`a/${index}/model.onnx`, ""]));
  const { models } = await scan(context, files);
  assert.equal(models.get("a")?.error, "a: more than 100 version folders");
});
