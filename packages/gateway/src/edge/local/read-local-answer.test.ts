// Outputs of models in the words of each kind of detector.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LabelMapping } from "../../contracts/local-inference.ts";
import type { Detector, DetectorMode, LocalAnswer, ModeConfiguration } from "../../core/detector.ts";
import { isFailure } from "../../core/errors.ts";
import type { TaskSpec } from "../../core/model.ts";
import type { TensorAnswer } from "../../core/request.ts";
import type { Tensor } from "../../core/tensor.ts";
import { combined } from "./out-of-domain.ts";
import { readLocalAnswer } from "./read-local-answer.ts";
import { createDetector } from "../../../test/support/detectors.ts";

function detector(mode: DetectorMode, modeConfiguration: ModeConfiguration = {}): Detector {
  return createDetector({ mode, modeConfiguration });
}

function floats(name: string, values: readonly number[], shape = [1, values.length]): Tensor {
  return { name, datatype: "FP32", shape, data: new Uint8Array(new Float32Array(values).buffer) };
}

function texts(name: string, text: string): Tensor {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return { name, datatype: "BYTES", shape: [1, 1], data: Buffer.concat([length, bytes]) };
}

function answered(task: Partial<TaskSpec> | undefined, outputs: readonly Tensor[]): TensorAnswer {
  return {
    model: {
      name: "m",
      version: "3",
      platform: "onnx",
      inputs: [],
      outputs: [],
      task: task && { kind: "classify", labels: [], outputs: { scores: "y" }, thresholds: {}, ...task },
      mapping: { features: undefined, prompt: undefined, image: "x" },
      batchable: true,
      maxBatch: 1,
      mock: false,
    },
    outputs,
    timing: { queueMs: 0, computeMs: 1, batchRows: 1, instance: "i" },
  };
}

function read(what: Detector, answer: TensorAnswer, labels: LabelMapping = {}): LocalAnswer {
  const local = readLocalAnswer(what, labels, answer);
  assert.ok(!isFailure(local), JSON.stringify(local));
  assert.deepEqual(local.model, { name: "m", version: "3" });
  return local;
}

const letters = { labels: ["a", "b", "c"] };

test("BINARY: the first class is YES unless labels say which; the classes of a meaning are summed", () => {
  const binary = detector("BINARY");
  const answer = answered(letters, [floats("y", [0.3, 0.3, 0.4])]);
  const usual = read(binary, answer);
  assert.deepEqual(usual.finding, { mode: "BINARY", label: "NO" });
  assert.ok(Math.abs(usual.confidence - 0.7) < 1e-6);
  const mapped = read(binary, answer, { yes: ["a", "b"] });
  assert.deepEqual(mapped.finding, { mode: "BINARY", label: "YES" });
  assert.ok(Math.abs(mapped.confidence - 0.6) < 1e-6);
  const unclear = read(binary, answer, { yes: ["a"], unclear: ["c"] });
  assert.deepEqual(unclear.finding, { mode: "BINARY", label: "UNCLEAR" });
});

test("BINARY: one score is the probability of class 1, which is NO", () => {
  const { finding, confidence } = read(detector("BINARY"), answered({}, [floats("y", [0.9])]));
  assert.deepEqual(finding, { mode: "BINARY", label: "NO" });
  assert.ok(Math.abs(confidence - 0.9) < 1e-6);
});

test("MULTI_CLASS: by the model's labels where the detector has them, else by place; beyond them UNCLEAR", () => {
  const answer = answered(letters, [floats("y", [0.1, 0.2, 0.7])]);
  const named = detector("MULTI_CLASS", { classNames: ["c", "b", "a"] });
  assert.deepEqual(read(named, answer).finding, { mode: "MULTI_CLASS", label: "c" });
  const placed = detector("MULTI_CLASS", { classNames: ["x", "y", "z"] });
  assert.deepEqual(read(placed, answer).finding, { mode: "MULTI_CLASS", label: "z" });
  const short = detector("MULTI_CLASS", { classNames: ["x", "y"] });
  assert.deepEqual(read(short, answer).finding, { mode: "MULTI_CLASS", label: "UNCLEAR" });
});

test("COUNT: the class is the count, at most the detector's", () => {
  const answer = answered(undefined, [floats("y", [0.1, 0.1, 0.1, 0.7])]);
  assert.deepEqual(read(detector("COUNT"), answer).finding, {
    mode: "COUNT",
    count: 3,
    greaterThanMax: false,
  });
  const few = detector("COUNT", { maxCount: 2 });
  assert.deepEqual(read(few, answer).finding, { mode: "COUNT", count: 2, greaterThanMax: true });
});

test("TEXT: what the model reads, at most as long as the detector takes", () => {
  const answer = answered({ kind: "text", outputs: { text: "y" } }, [texts("y", "AB 123")]);
  assert.deepEqual(read(detector("TEXT"), answer).finding, {
    mode: "TEXT",
    text: "AB 123",
    truncated: false,
  });
  const short = read(detector("TEXT", { valueMaxLength: 2 }), answer);
  assert.deepEqual(short.finding, { mode: "TEXT", text: "AB", truncated: true });
  assert.equal(short.text, "AB");
});

const boxes = (scores: readonly number[]): TensorAnswer =>
  answered({ kind: "detect", labels: ["cup", "can"], outputs: { boxes: "b", scores: "s", classes: "c" } }, [
    floats(
      "b",
      scores.flatMap((_, i) => [i / 10, 0.1, (i + 1) / 10, 0.2]),
      [1, scores.length, 4],
    ),
    floats("s", scores),
    floats(
      "c",
      scores.map((_, i) => i % 2),
    ),
  ]);

test("BOUNDING_BOX and COUNT by boxes: those above the threshold, as sure as the weakest and the best that was dropped", () => {
  const found = read(detector("BOUNDING_BOX", { className: "cup" }), boxes([0.9, 0.2, 0.8]));
  assert.deepEqual(found.finding, { mode: "BOUNDING_BOX", label: "BOUNDING_BOX" });
  assert.ok(Math.abs(found.confidence - 0.8 * 0.8) < 1e-6);
  assert.deepEqual(
    found.rois?.map(({ label }) => label),
    ["cup", "cup"],
  );
  assert.equal(found.rois?.[0]?.geometry.right, 0.1);
  const none = read(detector("BOUNDING_BOX"), boxes([0.1]));
  assert.deepEqual(none.finding, { mode: "BOUNDING_BOX", label: "NO_OBJECTS" });
  assert.ok(Math.abs(none.confidence - 0.9) < 1e-6);
  const many = read(detector("BOUNDING_BOX", { maxNumBboxes: 1 }), boxes([0.9, 0.9]));
  assert.deepEqual(many.finding, { mode: "BOUNDING_BOX", label: "GREATER_THAN_MAX" });
  const counted = read(detector("COUNT", { maxCount: 5 }), boxes([0.9, 0.9, 0.1]));
  assert.deepEqual(counted.finding, { mode: "COUNT", count: 2, greaterThanMax: false });
});

test("outputs that do not fit are a failure of the model", () => {
  const answer = answered({ kind: "detect", outputs: { boxes: "b", scores: "s" } }, [
    floats("b", [0, 0, 1]),
    floats("s", [0.9]),
  ]);
  const local = readLocalAnswer(detector("BOUNDING_BOX"), {}, answer);
  assert.ok(isFailure(local) && local.code === "bad_upstream_answer");
});

test("out of domain: the confidence falls to that of a guess", () => {
  const sure = { rawConfidence: 0.9, probabilities: [0.9, 0.05, 0.05] };
  assert.equal(combined(sure, "MULTI_CLASS", 0), 0.9);
  assert.equal(combined(sure, "MULTI_CLASS", 1), 1 / 3);
  assert.equal(combined(sure, "BINARY", 1), 1 / 2);
  assert.equal(combined(sure, "BOUNDING_BOX", 1), 0);
  assert.equal(combined(sure, "BINARY", 0.5), 0.5 * 0.5 + 0.5 * 0.9);
});
