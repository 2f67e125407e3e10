/** Fits and thresholds on detectors whose truth is known, over many seeds. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../../../bench/load/random.ts";
import {
  drawAnswers,
  HeldOut,
  type SyntheticAnswer,
  type SyntheticDetectorName,
} from "../../../../../test/harness/synthetic-detectors.ts";
import type { Random } from "../../core/random.ts";
import { applyModel, logit, MAX_KNOTS, type CalibrationModel } from "./calibration-model.ts";
import { chooseThreshold, pairsNeeded } from "./choose-threshold.ts";
import { applyCalibration, fitCalibration, type Calibration } from "./fit-calibration.ts";
import type { CalibrationPair } from "./pairs.ts";

function seeded(seed: number): Random {
  return { unit: seededRandom(seed), id: () => String(seed) };
}

function fitted(pairs: readonly CalibrationPair[], seed = 1): Calibration {
  const calibration = fitCalibration(pairs, {}, seeded(seed));
  if (calibration.kind !== "calibration") assert.fail(calibration.why);
  return calibration;
}

/** Mean distance between what a model says and the truth, over answers of which the truth is known. */
function distance(calibration: Pick<Calibration, "model">, answers: readonly SyntheticAnswer[]): number {
  const sum = answers.reduce(
    (total, { confidence, truth }) => total + Math.abs(applyCalibration(calibration, confidence) - truth),
    0,
  );
  return sum / answers.length;
}

/** What is left of answers when all below `threshold` are compared with the cloud, and a share of the others. */
function audited(
  answers: readonly SyntheticAnswer[],
  threshold: number,
  rate: number,
  random: () => number,
): CalibrationPair[] {
  return answers.flatMap(({ confidence, agreed }) => {
    if (confidence < threshold) return [{ confidence, agreed }];
    return random() < rate ? [{ confidence, agreed, weight: 1 / rate }] : [];
  });
}

describe("fitting", () => {
  const expected: [SyntheticDetectorName, CalibrationModel["kind"][]][] = [
    ["calibrated", ["identity"]],
    ["overconfident", ["temperature"]],
    ["underconfident", ["temperature"]],
    ["bent", ["isotonic"]],
    ["discrete", ["isotonic", "temperature", "platt"]],
    ["perfect", ["identity"]],
  ];
  for (const [name, kinds] of expected) {
    test(`a detector that is ${name}`, () => {
      const heldOut = drawAnswers(name, 4000, seededRandom(77));
      const chosen = Array.from({ length: 10 }, (_, seed) => {
        const calibration = fitted(drawAnswers(name, 4000, seededRandom(seed + 1)));
        if (name !== "perfect") {
          const after = distance(calibration, heldOut);
          assert.ok(after < 0.02, `${calibration.model.kind} is ${after} from the truth`);
        }
        assert.ok(calibration.after.logLoss <= calibration.before.logLoss);
        assert.ok(calibration.after.ece < 0.025 || name === "perfect", String(calibration.after.ece));
        return calibration.model.kind;
      });
      const right = chosen.filter((kind) => kinds.includes(kind)).length;
      assert.ok(right >= 8, chosen.join(" "));
    });
  }

  test("finds temperature and agreement again", () => {
    const { model } = fitted(drawAnswers("overconfident", 20_000, seededRandom(3)));
    assert.equal(model.kind, "temperature");
    assert.ok(model.kind === "temperature" && Math.abs(model.temperature - 2.5) < 0.15);
  });

  test("pairs that were chosen by confidence give what all answers would", () => {
    const random = seededRandom(5);
    const answers = drawAnswers("bent", 100_000, random);
    const heldOut = drawAnswers("bent", 4000, seededRandom(78));
    const pairs = audited(answers, 0.6, 0.05, random);
    assert.ok(pairs.length < 70_000);
    const calibration = fitted(pairs);
    assert.ok(distance(calibration, heldOut) < 0.02, String(distance(calibration, heldOut)));
    assert.ok(calibration.effectivePairs < pairs.length);
  });

  test("is monotone and small, whatever it is fitted to", () => {
    for (let seed = 1; seed <= 30; seed += 1) {
      const random = seededRandom(seed);
      const pairs = Array.from({ length: 100 + Math.floor(2000 * random()) }, () => {
        const confidence = random() < 0.3 ? Math.round(10 * random()) / 10 : random() ** 0.2;
        return { confidence, agreed: random() < 0.5 + 0.5 * confidence, weight: random() < 0.5 ? 1 : 20 };
      });
      const calibration = fitCalibration(pairs, { minPairs: 10 }, seeded(seed));
      if (calibration.kind !== "calibration") assert.fail(calibration.why);
      const { model } = calibration;
      assert.ok(JSON.stringify(model).length < 3000);
      assert.ok(model.kind !== "isotonic" || model.confidences.length <= MAX_KNOTS);
      let last = 0;
      for (let at = 0; at <= 1000; at += 1) {
        const value = applyModel(model, at / 1000);
        assert.ok(value >= last && value <= 1, `${JSON.stringify(model)} at ${at / 1000}`);
        last = value;
      }
    }
  });

  test("the same seed gives the same calibration, and JSON carries it", () => {
    const pairs = drawAnswers("bent", 3000, seededRandom(9));
    const calibration = fitted(pairs, 4);
    assert.deepEqual(fitted(pairs, 4), calibration);
    assert.deepEqual(JSON.parse(JSON.stringify(calibration)), calibration);
  });

  test("too few pairs are told as such, heavy ones by what they are worth", () => {
    const few = fitCalibration(drawAnswers("calibrated", 60, seededRandom(1)), {}, seeded(1));
    assert.deepEqual(few, {
      kind: "too_few_pairs",
      pairs: 60,
      effectivePairs: 60,
      needed: 100,
      why: "60 answers were compared with the cloud; 100 are needed",
    });
    const heavy = [
      { confidence: 0.99, agreed: true, weight: 1e5 },
      ...drawAnswers("calibrated", 200, seededRandom(1)),
    ];
    const told = fitCalibration(heavy, {}, seeded(1));
    assert.ok(told.kind === "too_few_pairs" && told.effectivePairs < 1.1);
    assert.match(told.why, /^201 .*, worth 1 of equal weight; 100 are needed$/);
    assert.equal(fitCalibration([], {}, seeded(1)).kind, "too_few_pairs");
  });

  test("numbers that make no sense are left out", () => {
    const pairs = drawAnswers("overconfident", 2000, seededRandom(2));
    const broken = [Number.NaN, -0.1, 1.1, Infinity].map((confidence) => ({ confidence, agreed: false }));
    const weightless = [0, -1, Number.NaN, Infinity].map((weight) => ({
      confidence: 0.5,
      agreed: false,
      weight,
    }));
    assert.deepEqual(fitted([...broken, ...pairs, ...weightless]), fitted(pairs));
  });

  test("confidences of 0 and 1 are no end of the world", () => {
    assert.ok(Number.isFinite(logit(0)) && Number.isFinite(logit(1)));
    const random = seededRandom(8);
    const pairs = Array.from({ length: 2000 }, (_, place) => ({
      confidence: place % 2,
      agreed: random() < 0.7,
    }));
    const calibration = fitted(pairs);
    assert.ok(Math.abs(applyCalibration(calibration, 1) - 0.7) < 0.05, JSON.stringify(calibration.model));
    assert.ok(calibration.after.ece < 0.05);
  });
});

describe("thresholds", () => {
  const wishedAgreement = 0.98;
  const names = ["calibrated", "overconfident", "bent", "discrete"] as const;
  for (const name of names) {
    test(`a detector that is ${name}: the wish is kept on answers held out`, () => {
      const heldOut = new HeldOut(drawAnswers(name, 50_000, seededRandom(1000)));
      const best = heldOut.best(wishedAgreement);
      const seeds = 60;
      let missed = 0;
      const ratios: number[] = [];
      for (let seed = 1; seed <= seeds; seed += 1) {
        const choice = chooseThreshold(drawAnswers(name, 5000, seededRandom(seed)), { wishedAgreement });
        if (choice.kind === "unreachable") continue;
        const outcome = heldOut.outcomeOf(choice.threshold);
        if (outcome.agreement < wishedAgreement) missed += 1;
        ratios.push(outcome.escalations / best.escalations);
        assert.ok(choice.agreement.low >= wishedAgreement - 1e-9, JSON.stringify(choice));
        assert.ok(choice.agreement.estimate > choice.agreement.low);
      }
      // 5 % of 60 are 3; more than 8 have a probability of 0.4 %.
      assert.ok(missed <= 8, `${missed} of ${seeds} below the wish`);
      const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
      assert.ok(mean < 1.3, `escalates ${mean} times as much as the best`);
    });
  }

  test("with enough pairs it escalates at most a tenth more than the best threshold", () => {
    const heldOut = new HeldOut(drawAnswers("overconfident", 50_000, seededRandom(1000)));
    const best = heldOut.best(wishedAgreement);
    const ratios = Array.from({ length: 8 }, (_, seed) => {
      const choice = chooseThreshold(drawAnswers("overconfident", 40_000, seededRandom(seed + 1)), {
        wishedAgreement,
      });
      if (choice.kind === "unreachable") assert.fail(choice.why);
      return heldOut.outcomeOf(choice.threshold).escalations / best.escalations;
    });
    const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
    assert.ok(mean <= 1.1, ratios.join(" "));
  });

  test("audits stand for what was not audited", () => {
    const heldOut = new HeldOut(drawAnswers("overconfident", 50_000, seededRandom(1000)));
    let missed = 0;
    for (let seed = 1; seed <= 20; seed += 1) {
      const random = seededRandom(seed);
      const pairs = audited(drawAnswers("overconfident", 40_000, random), 0.9, 0.1, random);
      const choice = chooseThreshold(pairs, { wishedAgreement });
      if (choice.kind === "unreachable") assert.fail(choice.why);
      const outcome = heldOut.outcomeOf(choice.threshold);
      if (outcome.agreement < wishedAgreement) missed += 1;
      const { estimate } = choice.escalations;
      assert.ok(
        Math.abs(outcome.escalations - estimate) < 0.04,
        `${outcome.escalations} expected ${estimate}`,
      );
      // Without the weights most pairs are unsure answers, and escalations look far more frequent than they are.
      const unweighted = chooseThreshold(
        pairs.map(({ confidence, agreed }) => ({ confidence, agreed })),
        { wishedAgreement },
      );
      assert.ok(
        unweighted.kind === "unreachable" || unweighted.escalations.estimate > outcome.escalations + 0.1,
      );
    }
    // 5 % of 20 are 1; more than 4 have a probability of 0.3 %.
    assert.ok(missed <= 4, `${missed} of 20 below the wish`);
  });

  test("a detector that is always right keeps everything, once that is proven", () => {
    const choose = (count: number): ReturnType<typeof chooseThreshold> =>
      chooseThreshold(drawAnswers("perfect", count, seededRandom(1)), { wishedAgreement });
    const needed = pairsNeeded(wishedAgreement, 0.95);
    assert.equal(needed, 149);
    const enough = choose(needed);
    assert.ok(enough.kind === "reached" && enough.escalations.estimate < 0.01, JSON.stringify(enough));
    const tooFew = choose(needed - 1);
    assert.ok(tooFew.kind === "unreachable");
    assert.match(tooFew.why, /149 pairs of equal weight are needed, there are 148/);
    assert.ok(tooFew.best !== undefined && tooFew.best.agreement.low < wishedAgreement);
  });

  test("one that does not know when it is right reaches nothing, and the best is told", () => {
    const choice = chooseThreshold(drawAnswers("clueless", 10_000, seededRandom(1)), { wishedAgreement });
    assert.ok(choice.kind === "unreachable" && choice.best !== undefined);
    assert.ok(Math.abs(choice.best.agreement.estimate - 0.8) < 0.05);
    assert.match(choice.why, /no threshold/);
  });

  test("no pairs, a wish of everything, and one of nothing", () => {
    const none = chooseThreshold([], { wishedAgreement });
    assert.ok(none.kind === "unreachable" && none.best === undefined);
    const pairs = drawAnswers("calibrated", 2000, seededRandom(1));
    assert.equal(chooseThreshold(pairs, { wishedAgreement: 1 }).kind, "unreachable");
    const all = chooseThreshold(pairs, { wishedAgreement: 0 });
    assert.ok(all.kind === "reached" && all.escalations.estimate === 0 && all.keptPairs === 2000);
  });

  test("confidences that 32-bit floats do not tell apart stay together", () => {
    const pairs = Array.from({ length: 400 }, (_, place) => ({
      confidence: place % 4 === 3 ? 0.5 : 0.9 + (place % 3) * 1e-12,
      agreed: place % 4 !== 3,
    }));
    const choice = chooseThreshold(pairs, { wishedAgreement });
    assert.ok(choice.kind === "reached" && choice.keptPairs === 300);
    assert.equal(choice.threshold, 0.9);
  });

  test("equal confidences are never parted", () => {
    const pairs = drawAnswers("discrete", 5000, seededRandom(4));
    const choice = chooseThreshold(pairs, { wishedAgreement: 0.95 });
    assert.ok(choice.kind === "reached");
    const kept = pairs.filter(({ confidence }) => confidence >= choice.threshold);
    assert.equal(kept.length, choice.keptPairs);
    assert.ok(pairs.some(({ confidence }) => confidence === choice.threshold));
  });
});

test("a threshold holds for calibrated confidences as for those of the model", () => {
  for (const name of ["overconfident", "bent", "discrete"] as const) {
    const pairs = drawAnswers(name, 4000, seededRandom(6));
    const { model } = fitted(pairs);
    const choice = chooseThreshold(pairs, { wishedAgreement: 0.97 });
    if (choice.kind === "unreachable") assert.fail(choice.why);
    const threshold = applyModel(model, choice.threshold);
    for (const { confidence } of pairs)
      assert.equal(confidence >= choice.threshold, applyModel(model, confidence) >= threshold);
  }
  const saturated: CalibrationModel = { kind: "temperature", temperature: 3 };
  assert.ok(applyModel(saturated, 1) > applyModel(saturated, Math.fround(1 - 6e-8)));
});
