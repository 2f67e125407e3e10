import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../../bench/load/random.ts";
import { drawAnswers, syntheticDetector } from "../../../../../test/harness/synthetic-detectors.ts";
import {
  createDriftMonitor,
  driftReference,
  type DriftMonitor,
  type DriftReference,
} from "./drift-monitor.ts";
import { fitCalibration } from "./fit-calibration.ts";
import { sortPairs } from "./pairs.ts";

function referenceOf(name: Parameters<typeof drawAnswers>[0], count = 5000, seed = 1): DriftReference {
  const random = seededRandom(seed);
  const pairs = sortPairs(drawAnswers(name, count, random));
  const calibration = fitCalibration(pairs, {}, { unit: random, id: () => "" });
  if (calibration.kind !== "calibration") assert.fail(calibration.why);
  return driftReference(calibration.model, pairs, calibration.effectivePairs);
}

/** The place of the first answer at which drift is reported; undefined where it never is. Answers are a second apart. */
function firstAlarm(
  monitor: DriftMonitor,
  answers: readonly { confidence: number; agreed: boolean }[],
): number | undefined {
  for (const [place, answer] of answers.entries()) {
    monitor.answered(answer.confidence, place * 1000);
    monitor.compared(answer, place * 1000);
    if (monitor.report().drifting) return place;
  }
  return undefined;
}

test("a detector that stays as it was raises few alarms", () => {
  let alarms = 0;
  for (let seed = 1; seed <= 20; seed += 1) {
    const name = seed % 2 === 0 ? "overconfident" : "bent";
    const monitor = createDriftMonitor(referenceOf(name, 5000, seed));
    if (firstAlarm(monitor, drawAnswers(name, 2500, seededRandom(100 + seed))) !== undefined) alarms += 1;
  }
  // 20 × 2,500 comparisons: five at one in 10,000, if the calibration were the truth.
  assert.ok(alarms <= 3, String(alarms));
});

test("three times the odds of a disagreement are noticed within a few hundred comparisons, and since when", () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const answers = drawAnswers("drifting", 6000, seededRandom(seed));
    const monitor = createDriftMonitor(referenceOf("calibrated", 5000, seed));
    const place = firstAlarm(monitor, answers);
    const report = monitor.report();
    assert.equal(report.why, "agreement_fell", `seed ${seed}`);
    assert.ok(place !== undefined && place > 3000 && place < 3600, String(place));
    assert.ok(report.since !== undefined && Math.abs(report.since / 1000 - 3000) < 300, String(report.since));
    assert.ok(report.score >= report.scoreLimit);
  }
});

test("other confidences are noticed without one comparison", () => {
  const monitor = createDriftMonitor(referenceOf("overconfident"));
  const random = seededRandom(5);
  const before = syntheticDetector("overconfident");
  const after = syntheticDetector("underconfident");
  for (let at = 0; at < 5000; at += 1) monitor.answered(before(random, 0).confidence, at);
  assert.equal(monitor.report().drifting, false);
  assert.ok(monitor.report().stability < 0.1);
  for (let at = 5000; at < 6000; at += 1) monitor.answered(after(random, 0).confidence, at);
  const report = monitor.report();
  assert.ok(report.drifting && report.why === "confidences_moved" && report.stability > 0.25);
  assert.ok(report.since !== undefined && report.since >= 5000 && report.since < 6000, String(report.since));
  for (let at = 6000; at < 16_000; at += 1) monitor.answered(before(random, 0).confidence, at);
  assert.deepEqual([monitor.report().drifting, monitor.report().since], [false, undefined]);
});

test("a detector that is right again is believed again", () => {
  const monitor = createDriftMonitor(referenceOf("calibrated"));
  for (let at = 0; at < 1000; at += 1) monitor.compared({ confidence: 0.95, agreed: at % 2 === 0 }, at);
  assert.ok(monitor.report().drifting);
  let at = 1000;
  while (monitor.report().drifting && at < 3000) monitor.compared({ confidence: 0.95, agreed: true }, at++);
  assert.equal(monitor.report().drifting, false);
});

test("a few surprises where the model was very sure are no drift", () => {
  const monitor = createDriftMonitor(referenceOf("calibrated"));
  for (let at = 0; at < 10; at += 1) monitor.compared({ confidence: 1, agreed: false }, at);
  assert.equal(monitor.report().drifting, false);
  for (let at = 10; at < 20; at += 1) monitor.compared({ confidence: 1, agreed: false }, at);
  assert.equal(monitor.report().drifting, true);
});

test("goes on after a restart from plain JSON", () => {
  const reference = referenceOf("bent");
  const answers = drawAnswers("drifting", 3000, seededRandom(3));
  const whole = createDriftMonitor(reference);
  let parts = createDriftMonitor(reference);
  answers.forEach((answer, at) => {
    for (const monitor of [whole, parts]) {
      monitor.answered(answer.confidence, at);
      monitor.compared(answer, at);
    }
    if (at % 1000 === 999) {
      const state = JSON.parse(JSON.stringify(parts.state())) as ReturnType<DriftMonitor["state"]>;
      parts = createDriftMonitor(JSON.parse(JSON.stringify(reference)) as DriftReference, {}, state);
    }
  });
  assert.deepEqual(parts.report(), whole.report());
  assert.ok(JSON.stringify(whole.state()).length < 600);
});

test("ranges have equal shares; few confidences have few ranges; numbers that make no sense change nothing", () => {
  const { edges, shares } = referenceOf("bent");
  assert.equal(edges.length, 9);
  assert.ok(
    shares.every((share) => Math.abs(share - 0.1) < 0.01),
    shares.join(" "),
  );
  const discrete = referenceOf("discrete");
  assert.ok(discrete.edges.length < 9 && discrete.shares.length === discrete.edges.length + 1);
  assert.ok(Math.abs(discrete.shares.reduce((sum, share) => sum + share, 0) - 1) < 1e-9);
  const same = sortPairs(Array.from({ length: 200 }, () => ({ confidence: 0.5, agreed: true })));
  assert.deepEqual(driftReference({ kind: "identity" }, same, 200).shares, [1]);
  const monitor = createDriftMonitor(referenceOf("bent"));
  const before = monitor.state();
  monitor.answered(Number.NaN, 1);
  monitor.compared({ confidence: -1, agreed: false }, 1);
  assert.deepEqual(monitor.state(), before);
});
