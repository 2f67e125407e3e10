/**
 * Reference: onnxruntime-node in this process with one thread, called in a loop, no HTTP. Takes `InProcessOptions` as
 * JSON in the first argument and prints an `InProcessResult`.
 */
import { InferenceSession, Tensor } from "onnxruntime-node";
import type { BatchResult, InProcessOptions, InProcessResult } from "../harness/in-process.ts";
import { tensorValues } from "../load/bodies.ts";
import { LatencyHistogram } from "../load/histogram.ts";
import { loopDelayOf, watchLoop } from "../load/loop-delay.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as InProcessOptions;
const session = await InferenceSession.create(options.model, {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: "sequential",
  graphOptimizationLevel: "all",
});
const loop = watchLoop();
const batches: BatchResult[] = [];
for (const batch of options.batches) batches.push(await measure(batch));
const result: InProcessResult = {
  batches,
  loopDelay: loopDelayOf(loop),
  rssBytes: process.memoryUsage.rss(),
};
console.log(JSON.stringify(result));

async function measure(batch: number): Promise<BatchResult> {
  const feeds = feedsOf(batch);
  await runFor(feeds, options.warmUpMs, new LatencyHistogram());
  const latency = new LatencyHistogram();
  const startMs = performance.now();
  const startCpu = process.cpuUsage();
  await runFor(feeds, options.durationMs, latency);
  const elapsedMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(startCpu);
  const items = latency.count * batch;
  return {
    batch,
    itemsPerSecond: (items / elapsedMs) * 1000,
    latency: latency.summary(),
    cpuUsPerItem: (user + system) / items,
  };
}

async function runFor(
  feeds: Record<string, Tensor>,
  durationMs: number,
  latency: LatencyHistogram,
): Promise<void> {
  const endMs = performance.now() + durationMs;
  for (let startMs = performance.now(); startMs < endMs;) {
    await session.run(feeds);
    const nowMs = performance.now();
    latency.record(nowMs - startMs);
    startMs = nowMs;
  }
}

/** The first dimension is the batch; others must be fixed. */
function feedsOf(batch: number): Record<string, Tensor> {
  const input = session.inputMetadata[0];
  if (input === undefined || !input.isTensor) throw new Error("expected a tensor as the model's first input");
  const rest = input.shape.slice(1).map((dimension) => {
    if (typeof dimension === "number") return dimension;
    throw new Error(`expected fixed dimensions after the batch, got "${dimension}"`);
  });
  const shape = [batch, ...rest];
  return { [input.name]: new Tensor("float32", tensorValues(shape, 1), shape) };
}
