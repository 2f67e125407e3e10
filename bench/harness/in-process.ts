/** Runs a model inside one Node process, without any gateway: what a monolith would get out of it. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { LatencySummary } from "../load/histogram.ts";
import type { LoopDelay } from "../load/loop-delay.ts";
import { nodeBinary, repositoryRoot } from "./paths.ts";

/** What to run. */
export interface InProcessOptions {
  /** Path of an ONNX file with one FP32 input whose first dimension is the batch. */
  readonly model: string;
  readonly batches: readonly number[];
  /** Measured time of each batch size. */
  readonly durationMs: number;
  readonly warmUpMs: number;
}

/** One batch size. */
export interface BatchResult {
  readonly batch: number;
  readonly itemsPerSecond: number;
  /** Of whole batches. */
  readonly latency: LatencySummary;
  readonly cpuUsPerItem: number;
}

/** All batch sizes. */
export interface InProcessResult {
  readonly batches: readonly BatchResult[];
  readonly loopDelay: LoopDelay;
  readonly rssBytes: number;
}

/** Runs `bench/reference/in-process-onnx.ts` and reads what it prints. */
export async function runInProcess(options: InProcessOptions): Promise<InProcessResult> {
  const script = join(repositoryRoot, "bench", "reference", "in-process-onnx.ts");
  const budgetMs = options.batches.length * (options.durationMs + options.warmUpMs) + 60_000;
  const args = ["--conditions=source", script, JSON.stringify(options)];
  const { stdout } = await promisify(execFile)(nodeBinary, args, {
    timeout: budgetMs,
    killSignal: "SIGKILL",
  });
  return JSON.parse(stdout) as InProcessResult;
}

/** The batch size with the highest rate. Throws RangeError for a result without any. */
export function bestBatch(result: Pick<InProcessResult, "batches">): BatchResult {
  return result.batches.reduce((best, one) => (one.itemsPerSecond > best.itemsPerSecond ? one : best));
}
