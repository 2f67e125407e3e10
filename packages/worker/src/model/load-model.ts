/** From a version folder to a model that answers: engine, meaning of its tensors, warm-up, calibration. */
import type { Calibration } from "../calibrate.ts";
import { calibrate, fixedBatch } from "../calibrate.ts";
import type { WorkerClock } from "../clock.ts";
import { systemClock } from "../clock.ts";
import type { Engine } from "../engines/engine.ts";
import { loadEngine } from "../engines/load-engine.ts";
import type { WorkerLog } from "../log.ts";
import { createImageDecoder } from "../preprocess/image.ts";
import { errorText } from "../refusal.ts";
import type { EngineKind, ModelConfig } from "../repository/model-config.ts";
import type { Tensor } from "../tensor.ts";
import { LoadedModel } from "./loaded-model.ts";
import { checkRows } from "./row-check.ts";
import { sampleInputs } from "./sample-inputs.ts";
import { resolveTask } from "./task.ts";

/** A version to load. */
export interface ModelSource {
  readonly name: string;
  readonly version: string;
  /** Absolute path of the version folder. */
  readonly directory: string;
  readonly config: ModelConfig;
  readonly engine: EngineKind;
  /** What an earlier calibration found; nothing is measured then. */
  readonly maxBatch: number | undefined;
}

/** What loading needs of the outside. */
export interface LoadModelOptions {
  readonly log: WorkerLog;
  readonly clock?: WorkerClock;
  readonly wallNow?: () => number;
}

/**
 * Mock models wait instead of computing, so timing them says nothing: they take this many rows in a
 * call unless model.yaml says otherwise.
 */
export const mockMaxBatch = 32;

/** Rejects with what is wrong with the model's file or its model.yaml, in words. */
export async function loadModel(source: ModelSource, options: LoadModelOptions): Promise<LoadedModel> {
  const { log, clock = systemClock, wallNow = Date.now } = options;
  const { name, version, config } = source;
  const engine = await loadEngine(source.engine, source.directory, config);
  try {
    const task = resolveTask(config, engine);
    const decoder = config.input.image && createImageDecoder(config.input.image, engine.inputs);
    const { calibration, batchable } = await prepare(engine, source, { log, clock });
    return new LoadedModel({
      name,
      version,
      config,
      engine,
      task,
      decoder,
      calibration,
      batchable,
      clock,
      wallNow,
    });
  } catch (error) {
    await engine.close();
    throw error;
  }
}

interface Readiness {
  readonly calibration: Calibration;
  readonly batchable: boolean;
}

/** Warm-up, then how many rows share a call. A model that refuses made-up inputs is served all the same, unbatched. */
async function prepare(
  engine: Engine,
  source: ModelSource,
  { log, clock }: { log: WorkerLog; clock: WorkerClock },
): Promise<Readiness> {
  if (source.engine === "mock") return { calibration: mockCalibration(source), batchable: true };
  const runner = sampleRunner(engine);
  try {
    for (const rows of source.config.warmup.batchSizes) await runner.run(engine.dynamicRows ? rows : 1);
    return await findBatch(engine, source, { ...runner, clock });
  } catch (error) {
    const reason = `the model refused made-up inputs: ${errorText(error)}`;
    log("warn", "warmup_failed", { model: source.name, version: source.version, reason });
    const fixed = knownBatch(source);
    if (fixed !== undefined) return { calibration: fixed, batchable: engine.dynamicRows };
    return { calibration: fixedBatch(1, reason), batchable: false };
  }
}

/** Runs the model on made-up rows. */
interface SampleRunner {
  /** Makes the rows, so that a timed run does not pay for it; they are kept from run to run. */
  prepare(rows: number): void;
  run(rows: number): Promise<void>;
}

function sampleRunner(engine: Engine): SampleRunner {
  let kept = { rows: 0, inputs: [] as Tensor[] };
  const prepare = (rows: number): void => {
    if (kept.rows !== rows) kept = { rows, inputs: sampleInputs(engine.inputs, rows) };
  };
  return {
    prepare,
    async run(rows) {
      prepare(rows);
      await engine.infer(kept.inputs);
    },
  };
}

async function findBatch(
  engine: Engine,
  source: ModelSource,
  measure: SampleRunner & { readonly clock: WorkerClock },
): Promise<Readiness> {
  if (!engine.dynamicRows) {
    const reason = "the first dimension of an input or output has a fixed size";
    return { calibration: fixedBatch(1, reason), batchable: false };
  }
  const known = knownBatch(source);
  if (known !== undefined) return { calibration: known, batchable: true };
  const mixed = await checkRows(engine);
  if (mixed !== undefined) return { calibration: fixedBatch(1, mixed), batchable: false };
  return { calibration: await calibrate({ ...measure, cpuMs }), batchable: true };
}

/** CPU time of this process, ms. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** A batch size that is given, so that nothing is measured. */
function knownBatch({ config, maxBatch }: ModelSource): Calibration | undefined {
  if (config.batching.maxBatch !== undefined)
    return fixedBatch(config.batching.maxBatch, "set by batching.maxBatch");
  return maxBatch === undefined ? undefined : fixedBatch(maxBatch, "measured by an earlier process");
}

function mockCalibration(source: ModelSource): Calibration {
  return knownBatch(source) ?? fixedBatch(mockMaxBatch, "a mock's time is not measured");
}
