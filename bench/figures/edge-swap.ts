/** What cameras notice when the edge endpoint swaps a detector's model under load. */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { packageOf, sha256Of } from "../../test/harness/model-package.ts";
import { buildMlp } from "../../test/harness/onnx-build.ts";
import { digits, runsRow, scaledCount, scaledMs, spreadText } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { urlOf, withGateway } from "../harness/gateway.ts";
import { measureLoad } from "../harness/measure.ts";
import type { MeasuredLoad } from "../harness/measure.ts";
import { repositoryRoot } from "../harness/paths.ts";
import { processLines } from "../harness/process-table.ts";
import type { Address } from "../harness/serve.ts";
import { spreadOf } from "../harness/spread.ts";
import { loadOf, parameterOf, readWorkload } from "../harness/workload.ts";

/** The detector that the workload asks. */
const DETECTOR = "det_ModelSwapUnderLoad000000000";
const SWAP_TIMEOUT_MS = 60_000;
const POLL_MS = 100;
const classNames = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/** Versions take turns between two models with different inputs. */
export const figure: Figure = {
  id: "edge-swap",
  title: "model swap under 200 image queries/s, 10 times",
  target: "0 failed requests",
  run,
};

interface Swap {
  readonly version: number;
  /** From the index that names the version to the first answer of it. */
  readonly tookMs: number;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("edge-swap");
  const folder = join(context.directory, "packages");
  await Promise.all(
    [folder, join(context.directory, "models")].map((each) => mkdir(each, { recursive: true })),
  );
  await publish(folder, 1);
  const load = loadOf(workload);
  const plan = { ...load, warmUpMs: scaledMs(load.warmUpMs, context.scale) };
  const count = scaledCount(parameterOf(workload, "swaps"), context.scale);
  const pauseMs = scaledMs(parameterOf(workload, "pauseMs"), context.scale);
  const swaps: Swap[] = [];
  const started = {
    directory: context.directory,
    config: configOver(folder),
    env: { SPILLWAY_DATA: join(context.directory, "data") },
  };
  const measured = await withGateway(started, async ({ server }) => {
    await untilVersion(server.address, 1);
    return measureLoad(plan, {
      servers: [server],
      during: async () => {
        for (let version = 2; version < 2 + count; version += 1) {
          await sleep(pauseMs);
          const startMs = performance.now();
          await publish(folder, version);
          await untilVersion(server.address, version);
          swaps.push({ version, tookMs: performance.now() - startMs });
          context.log(`version ${version} answered after ${digits(swaps.at(-1)?.tookMs ?? 0)} ms`);
        }
        await sleep(pauseMs);
      },
    });
  });
  if ("durationMs" in plan.bound && measured.load.windowMs >= plan.bound.durationMs)
    throw new Error("the load ended before the last swap: its window is too short");
  return judge(swaps, measured);
}

function judge(swaps: readonly Swap[], measured: MeasuredLoad): FigureResult {
  const { load } = measured;
  const { p50Ms, p99Ms, maxMs } = load.latency;
  const tookMs = spreadOf(swaps.map((swap) => swap.tookMs));
  return {
    rows: [
      runsRow(spreadOf([load.errors]), {
        what: `failed requests of ${load.requests} over ${swaps.length} swaps`,
        goal: { atMost: 0 },
      }),
    ],
    details: [
      `from a new line in the index to the first answer of the new version: ${spreadText(tookMs)} ms; the index is looked at every second`,
      `latency meanwhile: p50 ${digits(p50Ms)} ms, p99 ${digits(p99Ms)} ms, worst ${digits(maxMs)} ms`,
      ...processLines({ ours: [measured] }),
    ],
    data: { swaps, tookMs, measured },
  };
}

function configOver(folder: string): Readonly<Record<string, unknown>> {
  return {
    models: { repository: "./models" },
    edge: {
      refresh: "1s",
      models: { index: join(folder, "index.json") },
      detectors: [
        { id: DETECTOR, query: "Which digit is this?", mode: "MULTI_CLASS", classNames, policy: "no_cloud" },
      ],
    },
  };
}

/** Puts a version into the index: odd ones are the digits, even ones a network with a quarter of the inputs. */
async function publish(folder: string, version: number): Promise<void> {
  const bytes = version % 2 === 1 ? await digitsPackage(version) : smallPackage(version);
  await writeFile(join(folder, `${version}.tar.gz`), bytes);
  const entry = { version, url: `${version}.tar.gz`, sha256: sha256Of(bytes), bytes: bytes.length };
  const draft = join(folder, "index.json.new");
  await writeFile(draft, JSON.stringify({ models: { [DETECTOR]: [entry] } }));
  await rename(draft, join(folder, "index.json"));
}

async function digitsPackage(version: number): Promise<Buffer> {
  const model = join(repositoryRoot, "models/digits");
  const yaml = await readFile(join(model, "model.yaml"), "utf8");
  return packageOf(await readFile(join(model, "1/model.onnx")), `# ${version}\n${yaml}`);
}

function smallPackage(version: number): Buffer {
  const yaml = [
    `# ${version}`,
    "task: classify",
    `labels: ${JSON.stringify(classNames)}`,
    "outputs: { scores: y }",
    "input: { image: { tensor: x, width: 4, height: 4, channels: 1, layout: HWC, scale: 0.004 } }",
  ].join("\n");
  return packageOf(buildMlp({ layers: [16, 10], seed: version, softmax: true }), yaml);
}

/** Asks until the version answers. */
async function untilVersion(address: Address, version: number): Promise<void> {
  const picture = await readFile(join(repositoryRoot, "models/digits/samples/7.png"));
  const url = urlOf(address, `/device-api/v1/image-queries?detector_id=${DETECTOR}`);
  const endMs = performance.now() + SWAP_TIMEOUT_MS;
  for (;;) {
    const headers = { "content-type": "image/png" };
    const answer = await fetch(url, { method: "POST", headers, body: new Uint8Array(picture) });
    const text = await answer.text();
    if (answer.ok && text.includes(`"version":"${version}"`)) return;
    if (performance.now() > endMs) throw new Error(`version ${version} does not answer: ${text}`);
    await sleep(POLL_MS);
  }
}
