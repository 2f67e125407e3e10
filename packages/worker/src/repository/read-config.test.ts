/** What `model.yaml` is refused for, and in which words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultModelConfig } from "./model-config.ts";
import { readModelConfig } from "./read-config.ts";

function errorsOf(text: string, version?: string): readonly string[] {
  const own = version === undefined ? undefined : { file: "iris/2/model.yaml", text: version };
  const result = readModelConfig({ file: "iris/model.yaml", text }, own);
  return "errors" in result ? result.errors : [];
}

test("an empty or absent file gives the defaults", () => {
  assert.deepEqual(readModelConfig(undefined), { config: defaultModelConfig() });
  assert.deepEqual(readModelConfig({ file: "m", text: "# nothing\n" }), { config: defaultModelConfig() });
});

const refused: Record<string, readonly [text: string, expected: string]> = {
  "a mistyped key": [
    "batching:\n  maxBatc: 3",
    'iris/model.yaml:2: batching.maxBatc: unknown key; did you mean "maxBatch"?',
  ],
  "a key in the wrong case": [
    "Instances: 2",
    'iris/model.yaml:1: Instances: unknown key; did you mean "instances"?',
  ],
  "a mistyped output": [
    "outputs: { score: y }",
    'iris/model.yaml:1: outputs.score: unknown key; did you mean "scores"?',
  ],
  "an unknown engine": [
    "engine: onx",
    'iris/model.yaml:1: engine: expected one of onnx, text, mock, got "onx"; did you mean "onnx"?',
  ],
  "a text for a number": ["\ninstances: two", 'iris/model.yaml:2: instances: expected a number, got "two"'],
  "too small": ["instances: 0", "iris/model.yaml:1: instances: expected at least 1, got 0"],
  "a fraction": ["instances: 1.5", "iris/model.yaml:1: instances: expected a whole number, got 1.5"],
  "two channels": [
    "input: { image: { tensor: x, width: 8, height: 8, channels: 2 } }",
    "iris/model.yaml:1: input.image.channels: expected 1 or 3, got 2",
  ],
  "means that do not match": [
    "input: { image: { tensor: x, width: 8, height: 8, channels: 1, mean: [1, 2] } }",
    "iris/model.yaml:1: input.image.mean: expected 1 numbers, one a channel, got 2",
  ],
  "a missing key": [
    "input:\n  image: { tensor: x, width: 8 }",
    "iris/model.yaml:2: input.image.height: expected a number, got nothing",
  ],
  "a divisor of zero": [
    "input: { image: { tensor: x, width: 8, height: 8, channels: 1, std: [0] } }",
    "iris/model.yaml:1: input.image.std[0]: expected a number other than 0",
  ],
  "a range the wrong way round": [
    "mock: { confidence: [0.9, 0.1] }",
    "iris/model.yaml:1: mock.confidence: expected the lower number first, got [0.9, 0.1]",
  ],
  "specific without a list": [
    "versions: { policy: specific }",
    "iris/model.yaml:1: versions.list: expected at least one version number with policy specific",
  ],
  "a path as a group": [
    "group: ../x",
    'iris/model.yaml:1: group: expected at most 128 letters, digits, dots, dashes and underscores, got "../x"',
  ],
  "a list at the top": ["- 1", "iris/model.yaml: expected a mapping of keys to values at the top"],
  "a key twice": [
    "instances: 1\ninstances: 2",
    "iris/model.yaml:2:1: not valid YAML: Map keys must be unique",
  ],
  "a prototype": ["__proto__: { instances: 2 }", "iris/model.yaml:1: __proto__: unknown key"],
};

for (const [name, [text, expected]] of Object.entries(refused)) {
  test(`refused: ${name}`, () => {
    const [first, ...rest] = errorsOf(text);
    assert.ok(first?.startsWith(expected), `${first}`);
    assert.deepEqual(rest, []);
  });
}

test("a YAML error says where", () => {
  assert.match(errorsOf("a: [1\nb: 2")[0] ?? "", /^iris\/model\.yaml:2:\d+: not valid YAML: /);
});

test("aliases that would blow up are refused", () => {
  const lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1]"];
  for (const [name, below] of ["ba", "cb", "dc", "ed"])
    lines.push(`${name}: &${name} [${`*${below}, `.repeat(8)}]`);
  assert.match(errorsOf(lines.join("\n"))[0] ?? "", /not valid YAML: Excessive alias count/);
});

test("problems are listed by line and at most twenty", () => {
  const errors = errorsOf(Array.from({ length: 30 }, (_, index) => `key${index}: 1`).join("\n"));
  assert.equal(errors.length, 21);
  assert.match(errors[0] ?? "", /^iris\/model\.yaml:1: /);
  assert.equal(errors.at(-1), "and 10 more problems");
});

test("a version's own file overrides key by key", () => {
  const model = { file: "m", text: "instances: 2\nbatching: { delayMs: 3 }\nlabels: [a, b]" };
  const version = { file: "v", text: "batching: { maxBatch: 8 }\nlabels: [c]" };
  const result = readModelConfig(model, version);
  assert.ok("config" in result);
  assert.deepEqual(result.config.batching, {
    delayMs: 3,
    maxBatch: 8,
    maxBytes: 1_048_576,
    timeoutMs: 10_000,
  });
  assert.deepEqual([result.config.instances, result.config.labels], [2, ["c"]]);
});

test("a version's own file cannot say which versions there are", () => {
  const errors = errorsOf("instances: 1", "instances: 2\nversions: { count: 2 }");
  assert.deepEqual(errors, ["iris/2/model.yaml:2: versions: belongs in the model's own model.yaml"]);
});

test("what only does not fit together is told of the version's file", () => {
  const errors = errorsOf(
    "mock: { confidence: [0.9, 0.95] }\nversions: { policy: all }",
    "mock: { confidence: [1, 0] }",
  );
  assert.match(errors[0] ?? "", /^iris\/2\/model\.yaml:1: mock\.confidence: expected the lower number first/);
});
