/** How figures measure memory, and say it. */
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { digits, megabytes } from "./figure.ts";
import type { FigureContext, FigureResult } from "./figure.ts";
import type { MeasuredLoad } from "./measure.ts";
import { nodeBinary } from "./paths.ts";
import { processLines } from "./process-table.ts";
import { maxMemoryBytes } from "./processes.ts";
import type { ProcessReport } from "./processes.ts";

/**
 * A copy of the Node binary: pages of a file are shared by all that map it, so with a binary of its own the gateway
 * shares with its workers only, not with whatever else runs on Node here.
 */
export async function ownNode(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const copy = join(directory, "node");
  await copyFile(nodeBinary, copy);
  return copy;
}

/** Sum of the largest memory of each process. They need not coincide, so this errs upwards. */
export function proportionalMb(processes: readonly ProcessReport[]): number {
  return megabytes(processes.reduce((sum, one) => sum + maxMemoryBytes(one), 0));
}

/** Every process, then all. */
export function memoryLine(processes: readonly ProcessReport[]): string {
  const each = processes.map(({ program, rss, pss }) => {
    const proportional = pss === null ? "unknown" : digits(megabytes(pss.maxBytes));
    return `${program} ${digits(megabytes(rss.maxBytes))} MB resident (${proportional} proportional)`;
  });
  const resident = processes.reduce((sum, one) => sum + one.rss.maxBytes, 0);
  return `${each.join(", ")}; all ${digits(megabytes(resident))} (${digits(proportionalMb(processes))})`;
}

/** One gateway from its start through its load. */
export interface MemoryRun {
  readonly atRest: readonly ProcessReport[];
  readonly loaded: MeasuredLoad;
}

/** The first start of a checkout, and those after it, which find Node's compile cache filled: they are judged. */
export interface MemoryRuns<Run extends MemoryRun> {
  readonly first: Run;
  readonly runs: readonly Run[];
}

/** How a run starts its gateway: in a folder of its own, with a Node binary and a compile cache that all runs share. */
export interface MemoryStart {
  readonly directory: string;
  readonly node: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Starts so many gateways and one before them, each after the other, and logs what each held. */
export async function memoryRuns<Run extends MemoryRun>(
  context: FigureContext,
  count: number,
  run: (start: MemoryStart) => Promise<Run>,
): Promise<MemoryRuns<Run>> {
  const { directory } = context;
  const node = await ownNode(directory);
  const env = { NODE_COMPILE_CACHE: join(directory, "compile-cache") };
  const start = async (name: string): Promise<Run> => {
    const one = await run({ directory: join(directory, name), node, env });
    context.log(`${name}: at rest ${memoryLine(one.atRest)}; loaded ${memoryLine(one.loaded.processes)}`);
    return one;
  };
  const first = await start("first-start");
  const runs: Run[] = [];
  for (let round = 1; round <= count; round += 1) runs.push(await start(`run-${round}`));
  return { first, runs };
}

/** What was measured, in words and as data; the judgement is the figure's. */
export function tellMemory<Run extends MemoryRun>({
  first,
  runs,
}: MemoryRuns<Run>): Pick<FigureResult, "details" | "data"> {
  return {
    details: [
      `first start of this checkout, when Node strips and compiles every module: at rest ${memoryLine(first.atRest)}; under load ${memoryLine(first.loaded.processes)}`,
      ...runs.map(({ atRest }, index) => `run ${index + 1} at rest: ${memoryLine(atRest)}`),
      ...runs.map(({ loaded }, index) => `run ${index + 1} under load: ${memoryLine(loaded.processes)}`),
      ...processLines({ ours: runs.map(({ loaded }) => loaded) }),
    ],
    data: { first, runs },
  };
}
