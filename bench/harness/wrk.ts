/** Runs wrk, the load generator that ours is held against. */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** One run. */
export interface WrkOptions {
  readonly url: string;
  readonly connections: number;
  readonly durationMs: number;
}

/** What wrk printed. */
export interface WrkResult {
  readonly ratePerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly requests: number;
  /** Answers other than 2xx and 3xx, and socket errors. */
  readonly errors: number;
}

const MS_OF_UNIT = new Map([
  ["us", 0.001],
  ["ms", 1],
  ["s", 1000],
]);
/** wrk counts in whole seconds. */
const SECOND_MS = 1000;

/** Whether wrk is on the PATH. */
export function hasWrk(): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, "wrk"), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** GETs the URL in a closed loop with one thread. The duration is rounded up to whole seconds. */
export async function runWrk(options: WrkOptions): Promise<WrkResult> {
  const seconds = Math.max(1, Math.ceil(options.durationMs / SECOND_MS));
  const args = ["-t1", `-c${options.connections}`, `-d${seconds}s`, "--latency", options.url];
  const child = spawn("wrk", args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const code = await ended;
  if (code !== 0) throw new Error(`wrk ended with ${code}\n${output}`);
  return parseWrk(output);
}

/** Reads the numbers out of wrk's report. */
export function parseWrk(output: string): WrkResult {
  const number = (pattern: RegExp): number => Number(pattern.exec(output)?.[1] ?? 0);
  const socketErrors = /connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output)?.slice(1) ?? [];
  return {
    ratePerSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: latency(output, "50%"),
    p99Ms: latency(output, "99%"),
    requests: number(/(\d+) requests in/),
    errors:
      number(/Non-2xx or 3xx responses: (\d+)/) + socketErrors.reduce((sum, count) => sum + Number(count), 0),
  };
}

function latency(output: string, percentile: string): number {
  const match = new RegExp(`^\\s+${percentile}\\s+([\\d.]+)(us|ms|s)$`, "m").exec(output);
  return Number(match?.[1] ?? 0) * (MS_OF_UNIT.get(match?.[2] ?? "ms") ?? 1);
}
