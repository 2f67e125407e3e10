import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../../bench/load/random.ts";
import { drawAnswers } from "../../../../../test/harness/synthetic-detectors.ts";
import { systemClock } from "../../core/clock.ts";
import { calibrateDetector, calibrationSteps, readDetectorCalibration } from "./calibrate-detector.ts";
import { columnsOf } from "./pairs.ts";
import { inSlices, type Steps } from "./steps.ts";

const random = { unit: seededRandom(1), id: () => "" };
const parts = { clock: systemClock, random };
const job = { detectorId: "det_a", model: { name: "m", version: "3" }, wishedAgreement: 0.98, at: 7 };

test("a calibration is small JSON that is read as it was written", async () => {
  const pairs = drawAnswers("bent", 10_000, seededRandom(1));
  const record = await calibrateDetector({ ...job, pairs }, parts);
  assert.ok("format" in record);
  assert.deepEqual([record.detectorId, record.model, record.fittedAt], ["det_a", job.model, 7]);
  assert.ok(record.threshold !== undefined && record.threshold > 0.8 && record.threshold < 0.98);
  const text = JSON.stringify(record);
  assert.ok(text.length < 6000, String(text.length));
  assert.deepEqual(readDetectorCalibration(text), record);
});

test("what cannot be applied is not read", async () => {
  const pairs = drawAnswers("overconfident", 3000, seededRandom(1));
  const record = await calibrateDetector({ ...job, pairs }, parts);
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
  const told = await calibrateDetector({ ...job, pairs, minPairs: 200 }, parts);
  assert.ok("kind" in told && told.needed === 200);
});

test("no step holds the event loop, not in the first fit of a process either", () => {
  const pairs = columnsOf(drawAnswers("bent", 40_000, seededRandom(1)));
  const steps = calibrationSteps({ ...job, pairs }, random);
  const times: number[] = [];
  for (let done = false; !done;) {
    const before = process.threadCpuUsage();
    done = steps.next().done === true;
    const { user, system } = process.threadCpuUsage(before);
    times.push((user + system) / 1000);
  }
  assert.ok(times.length > 100, `${times.length} steps`);
  // Processor time, since a busy machine holds up any step; the compiler's and the collector's share is in it.
  const slow = times.filter((time) => time > 5);
  assert.ok(slow.length <= 3, `${slow.map((time) => time.toFixed(1)).join(" ")} ms of ${times.length} steps`);
});

test("slices end after their time", async () => {
  let now = 0;
  let pauses = 0;
  function* steps(): Steps<string> {
    for (let step = 0; step < 9; step += 1) {
      now += 0.5;
      yield;
    }
    return "done";
  }
  const pause = (): Promise<void> => {
    pauses += 1;
    return Promise.resolve();
  };
  assert.equal(await inSlices(steps(), { now: () => now }, pause), "done");
  assert.equal(pauses, 4);
});
