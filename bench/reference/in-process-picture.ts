/**
 * Reference: sharp in this process, and after it onnxruntime-node with one thread where a model is named; no HTTP. So many
 * pictures at a time, each on a thread of its own. Takes `PictureRunOptions` as JSON in the first argument and prints a
 * `PictureRunResult`.
 */
import { readFile } from "node:fs/promises";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";
import type { PictureRunOptions, PictureRunResult } from "../harness/in-process-picture.ts";
import { LatencyHistogram } from "../load/histogram.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as PictureRunOptions;
const { size } = options;
sharp.concurrency(1);
sharp.cache(false);
const picture = await readFile(options.picture);
const session =
  options.model === undefined
    ? null
    : await InferenceSession.create(options.model, { intraOpNumThreads: 1, interOpNumThreads: 1 });

await runFor(options.warmUpMs, new LatencyHistogram());
const latency = new LatencyHistogram();
const startMs = performance.now();
const startCpu = process.cpuUsage();
await runFor(options.durationMs, latency);
const elapsedMs = performance.now() - startMs;
const { user, system } = process.cpuUsage(startCpu);
const result: PictureRunResult = {
  atOnce: options.atOnce,
  ratePerSecond: (latency.count / elapsedMs) * 1000,
  latency: latency.summary(),
  cpuUsPerPicture: (user + system) / latency.count,
};
console.log(JSON.stringify(result));

async function runFor(durationMs: number, into: LatencyHistogram): Promise<void> {
  const endMs = performance.now() + durationMs;
  await Promise.all(Array.from({ length: options.atOnce }, () => runUntil(endMs, into)));
}

async function runUntil(endMs: number, into: LatencyHistogram): Promise<void> {
  for (let beganMs = performance.now(); beganMs < endMs;) {
    const pixels = await sharp(picture, { sequentialRead: true })
      .resize(size, size, { fit: "fill" })
      .raw()
      .toBuffer();
    if (session !== null) await session.run({ x: tensorOf(pixels) });
    const nowMs = performance.now();
    into.record(nowMs - beganMs);
    beganMs = nowMs;
  }
}

/** One plane a channel, values of 0 to 1. */
function tensorOf(pixels: Uint8Array): Tensor {
  const plane = size * size;
  const values = new Float32Array(3 * plane);
  for (let at = 0; at < plane; at += 1) {
    values[at] = (pixels[3 * at] ?? 0) / 255;
    values[at + plane] = (pixels[3 * at + 1] ?? 0) / 255;
    values[at + 2 * plane] = (pixels[3 * at + 2] ?? 0) / 255;
  }
  return new Tensor("float32", values, [1, 3, size, size]);
}
