import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../../bench/load/random.ts";
import { drawAnswers } from "../../../../../test/harness/synthetic-detectors.ts";
import { calibrateDetector, readDetectorCalibration } from "./calibrate-detector.ts";

const random = { unit: seededRandom(1), id: () => "" };
const job = { detectorId: "det_a", model: { name: "m", version: "3" }, wishedAgreement: 0.98, at: 7 };

test("a calibration is small JSON that is read as it was written", async () => {
  let pauses = 0;
  const pause = (): Promise<void> => {
    pauses += 1;
    return Promise.resolve();
  };
  const pairs = drawAnswers("bent", 10_000, seededRandom(1));
  const record = await calibrateDetector({ ...job, pairs }, random, pause);
  assert.ok("format" in record);
  assert.deepEqual([record.detectorId, record.model, record.fittedAt], ["det_a", job.model, 7]);
  assert.ok(record.threshold !== undefined && record.threshold > 0.8 && record.threshold < 0.98);
  assert.equal(pauses, 2);
  const text = JSON.stringify(record);
  assert.ok(text.length < 6000, String(text.length));
  assert.deepEqual(readDetectorCalibration(text), record);
});

test("what cannot be applied is not read", async () => {
  const pairs = drawAnswers("overconfident", 3000, seededRandom(1));
  const record = await calibrateDetector({ ...job, pairs }, random, () => Promise.resolve());
  const text = JSON.stringify(record);
  assert.ok(readDetectorCalibration(text));
  for (const broken of [
    "",
    "null",
    "[]",
    "{}",
    text.slice(0, -1),
    text.replace('"format":1', '"format":2'),
    text.replaceAll(/"temperature":[\d.]+/g, '"temperature":"hot"'),
    text.replaceAll('"kind":"temperature"', '"kind":"tea leaves"'),
    text.replace(/"threshold":0[\d.]+,"reference"/, '"threshold":7,"reference"'),
    text.replace('"kind":"reached"', '"kind":"hoped for"'),
    text.replace('"edges":[', '"edges":7,"x":['),
  ])
    assert.equal(readDetectorCalibration(broken), undefined, broken.slice(0, 80));
});

test("too few pairs are told", async () => {
  const pairs = drawAnswers("bent", 150, seededRandom(1));
  const told = await calibrateDetector({ ...job, pairs, minPairs: 200 }, random, () => Promise.resolve());
  assert.ok("kind" in told && told.needed === 200);
});
