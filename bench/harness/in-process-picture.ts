/** Decodes one picture over and over in a Node process, without any gateway, with or without a model behind. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { LatencySummary } from "../load/histogram.ts";
import { nodeBinary, repositoryRoot } from "./paths.ts";

/** What to run. */
export interface PictureRunOptions {
  /** Path of a picture. */
  readonly picture: string;
  /** Width and height to which it is stretched. */
  readonly size: number;
  /** Path of an ONNX file with the input `x`, FP32 [N, 3, size, size]. Default: decode and resize only. */
  readonly model?: string;
  /** Pictures under way at a time. */
  readonly atOnce: number;
  readonly durationMs: number;
  readonly warmUpMs: number;
}

/** What came of it. */
export interface PictureRunResult {
  readonly atOnce: number;
  readonly ratePerSecond: number;
  readonly latency: LatencySummary;
  readonly cpuUsPerPicture: number;
}

/** Runs `bench/reference/in-process-picture.ts` and reads what it prints. */
export async function runPictures(options: PictureRunOptions): Promise<PictureRunResult> {
  const script = join(repositoryRoot, "bench", "reference", "in-process-picture.ts");
  const args = ["--conditions=source", script, JSON.stringify(options)];
  const { stdout } = await promisify(execFile)(nodeBinary, args, {
    timeout: options.durationMs + options.warmUpMs + 60_000,
    killSignal: "SIGKILL",
  });
  return JSON.parse(stdout) as PictureRunResult;
}
