/** How figures measure memory, and say it. */
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { digits, megabytes } from "./figure.ts";
import { nodeBinary } from "./paths.ts";
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
