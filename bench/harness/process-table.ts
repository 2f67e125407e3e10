/** Tells what every process of a comparison used, and what speaks against a measurement. */
import type { MeasuredLoad } from "./measure.ts";
import { maxMemoryBytes } from "./processes.ts";
import { digits, megabytes } from "./figure.ts";
import { spreadOf } from "./spread.ts";

/** A generator busier than this was part of what was measured. */
const MAX_GENERATOR_UTILIZATION = 0.9;
/** An open-loop generator later than this at the 99th percentile was part of the latency. */
const MAX_SEND_LAG_MS = 2;

/** One process, or all of one program within a server, over several runs. */
interface ProcessLine {
  readonly name: string;
  readonly cpuUs: readonly number[];
  readonly memoryMb: readonly number[];
}

/**
 * Lines for people: each process of each side with medians over its runs, then warnings. Memory is of the processes that
 * were there at the end of a run.
 */
export function processLines(sides: Readonly<Record<string, readonly MeasuredLoad[]>>): string[] {
  return Object.entries(sides).flatMap(([side, runs]) => [
    ...serverLines(runs).map(
      ({ name, cpuUs, memoryMb }) =>
        `${side}, ${name}: CPU ${median(cpuUs)} µs a request, memory ${median(memoryMb)} MB`,
    ),
    ...loopLines(runs).map((line) => `${side}, ${line}`),
    `${side}, generator: CPU ${median(runs.map(generatorCpuUs))} µs a request, ${loopText(runs, ({ load }) => load.generator.loopDelay)}`,
    ...warnings(runs).map((warning) => `${side}: ${warning}`),
  ]);
}

/** What makes these runs say less than they seem to. */
export function warnings(runs: readonly MeasuredLoad[]): string[] {
  const busiest = Math.max(...runs.map(({ load }) => load.generator.utilization));
  const latest = Math.max(...runs.map(({ load }) => load.sendLag.p99Ms));
  const errors = runs.reduce((sum, { load }) => sum + load.errors, 0);
  return [
    ...(busiest > MAX_GENERATOR_UTILIZATION
      ? [`the generator used ${(busiest * 100).toFixed(0)} % of a core: it was part of the limit`]
      : []),
    ...(latest > MAX_SEND_LAG_MS
      ? [`the generator sent up to ${digits(latest)} ms late at p99: it is part of the latency`]
      : []),
    ...(errors > 0 ? [`${errors} requests failed`] : []),
  ];
}

function serverLines(runs: readonly MeasuredLoad[]): ProcessLine[] {
  const names = new Set(runs.flatMap((run) => run.processes.map(nameOf)));
  return [...names].map((name) => ({
    name,
    cpuUs: runs.map((run) => sum(run, name, (one) => one.cpuMs * 1000) / answersOf(run)),
    memoryMb: runs.map((run) => megabytes(sum(run, name, (one) => (one.alive ? maxMemoryBytes(one) : 0)))),
  }));
}

function loopLines(runs: readonly MeasuredLoad[]): string[] {
  const servers = Object.keys(runs[0]?.loopDelays ?? {});
  return servers
    .filter((server) => runs.every((run) => run.loopDelays[server] !== null))
    .map((server) => `${server}: ${loopText(runs, (run) => run.loopDelays[server])}`);
}

function loopText(
  runs: readonly MeasuredLoad[],
  delayOf: (run: MeasuredLoad) => { readonly p99Ms: number; readonly maxMs: number } | null | undefined,
): string {
  const p99 = median(runs.map((run) => delayOf(run)?.p99Ms ?? 0));
  const max = Math.max(...runs.map((run) => delayOf(run)?.maxMs ?? 0));
  return `loop delay p99 ${p99} ms, worst ${digits(max)} ms`;
}

function nameOf(one: MeasuredLoad["processes"][number]): string {
  return `${one.server} (${one.program})`;
}

function sum(
  run: MeasuredLoad,
  name: string,
  value: (one: MeasuredLoad["processes"][number]) => number,
): number {
  return run.processes.filter((one) => nameOf(one) === name).reduce((total, one) => total + value(one), 0);
}

function generatorCpuUs(run: MeasuredLoad): number {
  return (run.load.generator.cpuMs * 1000) / answersOf(run);
}

function answersOf({ load }: MeasuredLoad): number {
  return Math.max(1, (load.ratePerSecond * load.windowMs) / 1000);
}

function median(values: readonly number[]): string {
  return digits(spreadOf(values).median);
}
