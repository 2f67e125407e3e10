/** The calibrator with a store, from the first comparison to a threshold in use. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { seededRandom } from "../../../../../bench/load/random.ts";
import {
  agreementObservation,
  localAnswer,
  queryObservation,
} from "../../../../../test/harness/edge-observations.ts";
import {
  drawAnswers,
  HeldOut,
  syntheticDetector,
  type SyntheticDetectorName,
} from "../../../../../test/harness/synthetic-detectors.ts";
import type { CalibrationOptions } from "../../contracts/edge-options.ts";
import type { CalibrationStore, EdgeStore } from "../../contracts/edge-store.ts";
import type { Clock } from "../../core/clock.ts";
import type { LocalAnswer } from "../../core/detector.ts";
import { failure, isFailure } from "../../core/errors.ts";
import { openEdgeStore } from "../../store/open-edge-store.ts";
import { Calibrator } from "./calibrator.ts";

const options: CalibrationOptions = { mode: "automatic", agreement: 0.98 };
const model = { name: "seated", version: "3" };
const detector = { id: "det_a", mode: "BINARY", options } as const;

/** Wall time by hand; timers at once, so that fits need no waiting. */
function quickClock(): Clock & { wall: number } {
  const clock = {
    wall: Date.UTC(2026, 0, 1),
    now: () => clock.wall,
    wallNow: () => clock.wall,
    after: (_delayMs: number, action: () => void) => {
      const handle = setImmediate(action);
      return { cancel: () => clearImmediate(handle) };
    },
  };
  return clock;
}

interface Said {
  readonly event: string;
  readonly fields: object;
}

interface Bench {
  readonly store: CalibrationStore;
  readonly calibrator: Calibrator;
  readonly clock: ReturnType<typeof quickClock>;
  readonly said: Said[];
}

async function openStore(test: TestContext, folder: string): Promise<EdgeStore> {
  const clock = quickClock();
  const log = { error() {}, warn() {}, info() {}, debug() {} };
  const store = await openEdgeStore({ folder, clock: { ...clock, after: realAfter }, log });
  if (isFailure(store)) assert.fail(store.message);
  test.after(() => store.close());
  return store;
}

const realAfter: Clock["after"] = (delayMs, action) => {
  const handle = setTimeout(action, delayMs);
  return { cancel: () => clearTimeout(handle) };
};

function newFolder(test: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "spk-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function bench(calibrations: CalibrationStore, given: CalibrationOptions | undefined = options): Bench {
  const said: Said[] = [];
  const say = (event: string, fields: object = {}): void => void said.push({ event, fields });
  const clock = quickClock();
  const calibrator = new Calibrator({
    store: { calibrations },
    clock,
    random: { unit: seededRandom(1), id: () => "" },
    logger: { error: say, warn: say, info: say, debug: say },
    options: (id) => (id.toLowerCase() === "det_a" ? given : undefined),
  });
  return { store: calibrations, calibrator, clock, said };
}

function answerOf(rawConfidence: number, given: Partial<LocalAnswer> = {}): LocalAnswer {
  return {
    finding: { mode: "BINARY", label: "YES" },
    confidence: rawConfidence,
    rawConfidence,
    outOfDomain: undefined,
    probabilities: undefined,
    rois: null,
    text: null,
    model,
    computeMs: undefined,
    ...given,
  };
}

/** A line of products: each answer is seen, escalated below the threshold in force, and else audited at a rate. */
async function runLine(
  { calibrator, clock, store }: Bench,
  name: SyntheticDetectorName,
  count: number,
  seed: number,
  progress = 0,
): Promise<void> {
  const random = seededRandom(seed);
  const draw = syntheticDetector(name);
  for (let place = 0; place < count; place += 1) {
    clock.wall += 100;
    // The store holds so many writes; a read waits for them.
    if (place % 4000 === 3999) await store.all();
    const { confidence: raw, agreed } = draw(random, progress);
    const { confidence, threshold = 0.9 } = calibrator.calibrated(detector, answerOf(raw));
    const at = clock.wall;
    const queryId = `iq_${place}`;
    calibrator.answered(
      queryObservation({ queryId, at, threshold, local: localAnswer(confidence, { model }) }),
    );
    const finding = { mode: "BINARY", label: "YES" } as const;
    const edge = { finding, rawConfidence: raw, confidence, model };
    if (confidence < threshold) {
      calibrator.compared(
        agreementObservation({ queryId, at, kind: "escalation", reason: "unsure", edge, agreed }),
      );
    } else if (random() < 0.1) {
      calibrator.compared(
        agreementObservation({ queryId, at, kind: "audit", reason: "audit", edge, agreed }),
      );
    }
  }
}

describe("in automatic mode", () => {
  it("a detector gets a threshold that keeps the wish, and keeps it over a restart", async (test) => {
    const folder = newFolder(test);
    const store = await openStore(test, folder);
    const first = bench(store.calibrations);
    await first.calibrator.start();
    await runLine(first, "overconfident", 60_000, 1);
    const made = await first.calibrator.fit("DET_A");
    assert.ok("format" in made, JSON.stringify(made));
    assert.ok(made.choice.kind === "reached");
    const heldOut = new HeldOut(drawAnswers("overconfident", 50_000, seededRandom(99)));
    const outcome = heldOut.outcomeOf(made.choice.threshold);
    assert.ok(outcome.agreement >= options.agreement - 0.002, String(outcome.agreement));
    const { estimate } = made.choice.escalations;
    assert.ok(Math.abs(outcome.escalations - estimate) < 0.02, `${outcome.escalations}, told ${estimate}`);
    assert.ok(outcome.escalations < 1.4 * heldOut.best(options.agreement).escalations);

    const { confidence, threshold } = first.calibrator.calibrated(detector, answerOf(0.99));
    assert.ok(confidence < 0.95, `99 % is worth ${confidence}`);
    assert.equal(threshold, made.threshold);
    const report = first.calibrator.report("det_a");
    assert.deepEqual([report?.inUse, report?.model, report?.drift?.drifting], [true, "seated@3", false]);
    await runLine(first, "overconfident", 1000, 2);
    await settled(first.calibrator);
    await runLine(first, "overconfident", 300, 3);
    const last = first.calibrator.calibrated(detector, answerOf(0.99));
    first.calibrator.close();
    await store.close();

    const again = await openStore(test, folder);
    const second = bench(again.calibrations);
    await second.calibrator.start();
    assert.match(first.calibrator.summary("det_a") ?? "", /^automatic, temperature, fitted to \d+ pairs$/);
    assert.deepEqual(second.calibrator.calibrated(detector, answerOf(0.99)), last);
    const { stability = 0 } = second.calibrator.report("det_a")?.drift ?? {};
    assert.equal(stability, first.calibrator.report("det_a")?.drift?.stability);
    assert.ok(stability > 0, "what the monitor knew is gone");
  });

  it("it is fitted again by itself as comparisons come, one fit at a time, a minute apart", async (test) => {
    const store = await openStore(test, newFolder(test));
    const line = bench(store.calibrations);
    for (let part = 0; part < 6; part += 1) {
      await runLine(line, "overconfident", 2000, part + 1);
      await settled(line.calibrator);
    }
    const fits = line.said.filter(({ event }) => event === "edge_calibrated");
    assert.ok(fits.length >= 2 && fits.length <= 20, String(fits.length));
    assert.ok((line.calibrator.report("det_a")?.calibration?.calibration.pairs ?? 0) > 500);
  });

  it("a new version of the model starts afresh, and going back finds what was known", async (test) => {
    const store = await openStore(test, newFolder(test));
    const line = bench(store.calibrations);
    await runLine(line, "overconfident", 5000, 1);
    const made = await line.calibrator.fit("det_a");
    assert.ok("format" in made);
    const next = answerOf(0.99, { model: { name: "seated", version: "4" } });
    assert.deepEqual(line.calibrator.calibrated(detector, next), { confidence: 0.99, threshold: undefined });
    const told = await line.calibrator.fit("det_a");
    assert.ok("kind" in told && told.pairs === 0, JSON.stringify(told));
    assert.match(line.calibrator.report("det_a")?.problem ?? "", /^0 answers were compared/);
    assert.ok(line.calibrator.calibrated(detector, answerOf(0.99)).confidence < 0.95);
    assert.equal(line.calibrator.report("det_a")?.calibration?.fittedAt, made.fittedAt);
  });

  it("drift is said once, and the next fit uses what came since", async (test) => {
    const store = await openStore(test, newFolder(test));
    const line = bench(store.calibrations);
    await runLine(line, "calibrated", 20_000, 1);
    const before = await line.calibrator.fit("det_a");
    assert.ok("format" in before && before.choice.kind === "reached");
    const began = line.clock.wall;
    await runLine(line, "drifting", 4000, 2, 0.9);
    const drifts = line.said.filter(({ event }) => event === "edge_calibration_drifts");
    assert.ok(drifts.length >= 1, "drift was not seen");
    const { since = 0 } = (drifts[0]?.fields ?? {}) as { since?: number };
    assert.ok(Math.abs(since - began) < 200_000, `${(since - began) / 1000} s off`);
    await settled(line.calibrator);
    await runLine(line, "drifting", 4000, 3, 0.9);
    const after = await line.calibrator.fit("det_a");
    assert.ok("format" in after);
    const raised = after.choice.kind === "reached" ? after.choice.threshold : 1;
    assert.ok(raised > before.choice.threshold, `${raised}, before ${before.choice.threshold}`);
  });

  it("a picture unlike all others stays unsure", async (test) => {
    const store = await openStore(test, newFolder(test));
    const line = bench(store.calibrations);
    await runLine(line, "overconfident", 5000, 1);
    assert.ok("format" in (await line.calibrator.fit("det_a")));
    const near = line.calibrator.calibrated(detector, answerOf(0.999, { outOfDomain: 0 })).confidence;
    assert.equal(near, line.calibrator.calibrated(detector, answerOf(0.999)).confidence);
    const far = line.calibrator.calibrated(detector, answerOf(0.999, { outOfDomain: 1 })).confidence;
    assert.equal(far, 0.5);
  });
});

describe("in the other modes", () => {
  it("suggest fits and shows, and decides nothing", async (test) => {
    const store = await openStore(test, newFolder(test));
    const suggested: CalibrationOptions = { mode: "suggest", agreement: 0.98 };
    const line = bench(store.calibrations, suggested);
    await runLine(line, "overconfident", 20_000, 1);
    const made = await line.calibrator.fit("det_a");
    assert.ok("format" in made);
    const only = { ...detector, options: suggested };
    assert.deepEqual(line.calibrator.calibrated(only, answerOf(0.99)), {
      confidence: 0.99,
      threshold: undefined,
    });
    const report = line.calibrator.report("det_a");
    assert.deepEqual([report?.inUse, report?.calibration?.detectorId], [false, "det_a"]);
  });

  it("off gathers nothing and fits nothing", async () => {
    const asked: string[] = [];
    const say = (name: string) => () => {
      asked.push(name);
      return Promise.resolve(failure("storage_unavailable"));
    };
    const nothing = {
      keepPairs: () => void asked.push("keepPairs"),
      pairs: say("pairs"),
      keep: say("keep"),
      all: say("all"),
    };
    const line = bench(nothing, { mode: "off", agreement: 0.98 });
    line.calibrator.compared(agreementObservation({ queryId: "iq_1", at: 0 }));
    line.calibrator.answered(queryObservation({ queryId: "iq_1", at: 0 }));
    const refused = await line.calibrator.fit("det_a");
    assert.ok(isFailure(refused) && refused.code === "bad_request");
    line.calibrator.close();
    assert.deepEqual(asked, []);
  });
});

describe("what is left out, refused and lost", () => {
  it("labels of people and queries for which a person was asked say nothing of how sure an answer is", () => {
    const kept: unknown[] = [];
    const store = {
      ...failing("storage_unavailable"),
      keepPairs: (compared: unknown) => void kept.push(compared),
    };
    const { calibrator } = bench(store);
    calibrator.compared(agreementObservation({ queryId: "iq_1", at: 0, kind: "label" }));
    calibrator.compared(
      agreementObservation({ queryId: "iq_2", at: 0, kind: "escalation", reason: "human_review" }),
    );
    calibrator.compared(agreementObservation({ queryId: "iq_3", at: 0, detectorId: "det_unknown" }));
    assert.deepEqual(kept, []);
    calibrator.compared(agreementObservation({ queryId: "iq_4", at: 0 }));
    assert.equal(kept.length, 1);
  });

  it("a store that fails is said, and answers go on as they came", async () => {
    const line = bench(failing("storage_unavailable"));
    await line.calibrator.start();
    assert.deepEqual(line.calibrator.calibrated(detector, answerOf(0.7)), {
      confidence: 0.7,
      threshold: undefined,
    });
    const result = await line.calibrator.fit("det_a");
    assert.ok(isFailure(result) && result.code === "storage_unavailable");
    assert.deepEqual(
      line.said.map(({ event }) => event),
      ["edge_calibrations_unread"],
    );
  });

  it("sure answers that nobody checked are a gap that no number of escalations fills", async (test) => {
    const store = await openStore(test, newFolder(test));
    const line = bench(store.calibrations);
    for (let place = 0; place < 400; place += 1) {
      line.calibrator.calibrated(detector, answerOf(place % 2 === 0 ? 0.99 : 0.5));
      const at = line.clock.wall;
      const local = localAnswer(place % 2 === 0 ? 0.99 : 0.5, { model });
      line.calibrator.answered(queryObservation({ queryId: "iq_1", at, local }));
      const { edge } = agreementObservation({ queryId: "iq_1", at });
      const given = { ...edge, rawConfidence: 0.5, confidence: 0.5, model };
      if (place % 2 === 1)
        line.calibrator.compared(
          agreementObservation({ queryId: "iq_1", at, kind: "escalation", reason: "unsure", edge: given }),
        );
    }
    const told = await line.calibrator.fit("det_a");
    assert.ok("kind" in told && told.pairs === 200);
    assert.match(told.why, /^none of 200 sure answers was compared with the cloud; auditRate says/);
    assert.equal(line.calibrator.report("det_a")?.problem, told.why);
  });

  it("a detector that is not known, and one that never answered", async () => {
    const { calibrator } = bench(failing("storage_unavailable"));
    assert.equal(calibrator.report("det_unknown"), undefined);
    for (const id of ["det_unknown", "det_a"]) {
      const result = await calibrator.fit(id);
      assert.ok(isFailure(result) && result.code === "not_found", id);
    }
    assert.equal(calibrator.report("det_a")?.model, undefined);
  });
});

function failing(code: "storage_unavailable"): CalibrationStore {
  const fail = (): Promise<ReturnType<typeof failure>> => Promise.resolve(failure(code));
  return { keepPairs() {}, pairs: fail, keep: fail, all: fail };
}

/** Waits until the fits that are due have ended: a further one waits for the store behind them. */
async function settled(calibrator: Calibrator): Promise<void> {
  for (let turn = 0; turn < 200 && calibrator.isFitting; turn += 1)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(calibrator.isFitting, false);
}
