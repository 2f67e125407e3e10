/** Whether a threshold chosen from comparisons with the cloud keeps what it promises on answers that nobody compared. */
import { chooseThreshold } from "../../packages/gateway/src/edge/calibration/choose-threshold.ts";
import { fitCalibration } from "../../packages/gateway/src/edge/calibration/fit-calibration.ts";
import { columnsOf, sortPairs } from "../../packages/gateway/src/edge/calibration/pairs.ts";
import type { CalibrationPair } from "../../packages/gateway/src/edge/calibration/pairs.ts";
import { poolStrata } from "../../packages/gateway/src/edge/calibration/pool-strata.ts";
import type { Stratum } from "../../packages/gateway/src/edge/calibration/pool-strata.ts";
import { drawAnswers, HeldOut } from "../../test/harness/synthetic-detectors.ts";
import type { SyntheticAnswer } from "../../test/harness/synthetic-detectors.ts";
import { prepareModels } from "../harness/bench-models.ts";
import { digits, runsRow, scaledCount, spreadText } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult, FigureRow } from "../harness/figure.ts";
import { openNoisyDigits } from "../harness/noisy-digits.ts";
import { spreadOf } from "../harness/spread.ts";
import { parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";
import { seededRandom } from "../load/random.ts";
import type { Random } from "../load/random.ts";

const MADE_UP = ["calibrated", "overconfident", "underconfident", "bent", "discrete"] as const;
const MAX_RATIO = 1.1;

/** The threshold for a wished agreement, on held-out answers. */
export const figure: Figure = {
  id: "calibration",
  title: "calibrated threshold on held-out answers",
  target:
    "wished agreement met at the level asked for, escalations at most 1.1 × the best possible threshold's",
  run,
};

/** A detector that answers can be drawn from. */
interface Source {
  readonly name: string;
  /** Added to the workload's seed. */
  readonly seed: number;
  draw(count: number, random: Random): SyntheticAnswer[] | Promise<SyntheticAnswer[]>;
}

/** One fit and what its threshold does to held-out answers. */
interface Fit {
  readonly model: string;
  readonly pairs: number;
  readonly effectivePairs: number;
  /** Undefined where no threshold was proven: then every answer goes to the cloud. */
  readonly threshold: number | undefined;
  /** Held-out agreement of what is kept, and the interval told for it. */
  readonly agreement: number;
  readonly told: readonly [low: number, high: number] | undefined;
  readonly escalations: number;
  readonly ratio: number;
  readonly errorBefore: number | undefined;
  readonly errorAfter: number | undefined;
  readonly milliseconds: number;
}

/** All fits of one detector. */
interface Measured {
  readonly name: string;
  readonly best: number;
  readonly fits: readonly Fit[];
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("calibration");
  const { directory } = await prepareModels(workload, context.directory);
  const madeUp: Measured[] = [];
  for (const [seed, name] of MADE_UP.entries()) {
    const source = { name, seed, draw: (count: number, random: Random) => drawAnswers(name, count, random) };
    madeUp.push(await measure(source, workload, parameterOf(workload, "fits"), context));
  }
  const noisy = await openNoisyDigits(`${directory}/digits`, parameterOf(workload, "digitsNoise"));
  try {
    const source = { name: "noisy digits", seed: MADE_UP.length, draw: noisy.draw.bind(noisy) };
    const real = await measure(source, workload, parameterOf(workload, "digitsFits"), context);
    return judge(madeUp, real, workload);
  } finally {
    await noisy.close();
  }
}

async function measure(
  source: Source,
  workload: Workload,
  count: number,
  context: FigureContext,
): Promise<Measured> {
  const random = seededRandom(parameterOf(workload, "seed") + source.seed);
  const shorter = context.scale === "full" ? 1 : context.scale === "quick" ? 5 : 20;
  const heldOut = new HeldOut(await source.draw(parameterOf(workload, "heldOutAnswers") / shorter, random));
  const best = heldOut.best(parameterOf(workload, "wishedAgreement")).escalations;
  const fits: Fit[] = [];
  for (let round = 0; round < scaledCount(count, context.scale); round += 1) {
    const answers = await source.draw(parameterOf(workload, "answers") / shorter, random);
    fits.push(fitOnce(comparedOf(answers, workload, random), heldOut, best, workload, random));
  }
  context.log(lineOf({ name: source.name, best, fits }));
  return { name: source.name, best, fits };
}

/** What the edge knows of its answers: all unsure ones, a share of the sure ones, and of both the newest. */
function comparedOf(answers: readonly SyntheticAnswer[], workload: Workload, random: Random): Stratum[] {
  const auditRate = parameterOf(workload, "auditRate");
  const escalated: CalibrationPair[] = [];
  const audited: CalibrationPair[] = [];
  for (const { confidence, agreed } of answers) {
    if (confidence < parameterOf(workload, "startThreshold")) escalated.push({ confidence, agreed });
    else if (random() < auditRate) audited.push({ confidence, agreed, weight: 1 / auditRate });
  }
  return [
    {
      kept: columnsOf(escalated.slice(-parameterOf(workload, "escalatedPairs"))),
      seenWeight: escalated.length,
    },
    {
      kept: columnsOf(audited.slice(-parameterOf(workload, "auditedPairs"))),
      seenWeight: audited.length / auditRate,
    },
  ];
}

function fitOnce(strata: Stratum[], heldOut: HeldOut, best: number, workload: Workload, random: Random): Fit {
  const start = performance.now();
  const pairs = sortPairs(poolStrata(strata));
  const calibration = fitCalibration(pairs, {}, { unit: random, id: () => "" });
  const choice = chooseThreshold(pairs, {
    wishedAgreement: parameterOf(workload, "wishedAgreement"),
    level: parameterOf(workload, "level"),
  });
  const milliseconds = performance.now() - start;
  const reached = choice.kind === "reached" ? choice : undefined;
  const fitted = calibration.kind === "calibration" ? calibration : undefined;
  const outcome = heldOut.outcomeOf(reached?.threshold ?? Infinity);
  return {
    model: fitted?.model.kind ?? "none",
    pairs: choice.pairs,
    effectivePairs: choice.effectivePairs,
    threshold: reached?.threshold,
    agreement: outcome.agreement,
    told: reached && [reached.agreement.low, reached.agreement.high],
    escalations: outcome.escalations,
    ratio: outcome.escalations / best,
    errorBefore: fitted?.before.ece,
    errorAfter: fitted?.after.ece,
    milliseconds,
  };
}

function judge(madeUp: readonly Measured[], real: Measured, workload: Workload): FigureResult {
  const wished = parameterOf(workload, "wishedAgreement");
  const allowed = 1 - parameterOf(workload, "level");
  return {
    rows: [
      ...rowsOf("made-up detectors", madeUp, wished, allowed),
      ...rowsOf("digits model under noise", [real], wished, allowed),
    ],
    details: [...madeUp, real].map(lineOf),
    data: { madeUp, real },
  };
}

function rowsOf(what: string, measured: readonly Measured[], wished: number, allowed: number): FigureRow[] {
  const fits = measured.flatMap((one) => one.fits);
  const below = fits.filter(({ agreement }) => agreement < wished).length;
  const several = measured.length > 1 ? `, mean of each of ${measured.length}` : ", mean";
  return [
    runsRow(spreadOf([below / fits.length]), {
      what: `${what}: share of ${fits.length} fits that keep less than ${wished * 100} % agreement`,
      goal: { atMost: Number(allowed.toFixed(6)) },
    }),
    runsRow(spreadOf(measured.map((one) => mean(one.fits.map(({ ratio }) => ratio)))), {
      what: `${what}: escalations over the best threshold's${several}`,
      goal: { atMost: MAX_RATIO },
    }),
  ];
}

function lineOf({ name, best, fits }: Measured): string {
  const models = [...new Set(fits.map(({ model }) => model))].join(", ");
  const proven = fits.filter(({ threshold }) => threshold !== undefined);
  const inside = proven.filter(
    ({ agreement, told }) => told !== undefined && agreement >= told[0] && agreement <= told[1],
  );
  const of = (value: (fit: Fit) => number): string => spreadText(spreadOf(fits.map(value)));
  return (
    `${name}: ${models}; the best threshold escalates ${digits(100 * best)} %; ratio ${of(({ ratio }) => ratio)}; ` +
    `held-out agreement ${spreadText(spreadOf(fits.map(({ agreement }) => agreement)), (value) => value.toFixed(4))}, ` +
    `inside the interval told in ${inside.length} of ${proven.length}, no threshold proven in ${fits.length - proven.length}; ` +
    `calibration error ${of(({ errorBefore = 0 }) => errorBefore)} before, ${of(({ errorAfter = 0 }) => errorAfter)} after; ` +
    `${of(({ pairs }) => pairs)} pairs worth ${of(({ effectivePairs }) => effectivePairs)}; ${of(({ milliseconds }) => milliseconds)} ms`
  );
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
