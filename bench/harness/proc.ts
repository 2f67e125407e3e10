/** Reads what Linux tells about processes under /proc. A process that is gone reads as null. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";

/** CPU time and memory of a process at one moment. */
export interface ProcessReading {
  /** User and system time of all its threads since it started, in steps of 10 ms on most machines. */
  readonly cpuMs: number;
  readonly rssBytes: number;
  readonly threads: number;
}

/** A process of a tree. */
export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
}

/** Positions in /proc/PID/stat counted from the field after the command name (proc(5): field 3). */
const PARENT = 1;
const USER_TICKS = 11;
const SYSTEM_TICKS = 12;
const THREADS = 17;
const RSS_PAGES = 21;

const ticksPerSecond = systemNumber("CLK_TCK", 100);
const pageBytes = systemNumber("PAGESIZE", 4096);

/** CPU time, resident memory and thread count. Costs tens of microseconds and does not disturb the process. */
export function readProcess(pid: number): ProcessReading | null {
  const fields = readStat(pid);
  if (fields === null) return null;
  const ticks = Number(fields[USER_TICKS]) + Number(fields[SYSTEM_TICKS]);
  return {
    cpuMs: (ticks * 1000) / ticksPerSecond,
    rssBytes: Number(fields[RSS_PAGES]) * pageBytes,
    threads: Number(fields[THREADS]),
  };
}

/**
 * Proportional memory: pages shared by n processes count 1/n in each, so that a sum over processes counts nothing twice.
 * Null where the kernel does not tell. Walks the process's page tables while it may not map memory: read it seldom.
 */
export function readPssBytes(pid: number): number | null {
  const text = read(`/proc/${pid}/smaps_rollup`);
  const kilobytes = text === null ? null : /^Pss:\s+(\d+) kB$/m.exec(text)?.[1];
  return kilobytes === null || kilobytes === undefined ? null : Number(kilobytes) * 1024;
}

/** A process and all its descendants, parents first. Empty when it is gone. */
export function processTree(root: number): ProcessEntry[] {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const fields = readStat(Number(name));
      return fields === null ? [] : [{ pid: Number(name), parent: Number(fields[PARENT]) }];
    });
  const tree = all.filter((entry) => entry.pid === root);
  for (const { pid } of tree) tree.push(...all.filter((entry) => entry.parent === pid));
  return tree;
}

/** The program of a process, for people: `node gateway/src/cli/main.ts`, `node echo-json.ts`, `wrk`. */
export function describeProcess(pid: number): string {
  const [program = "?", ...args] = (read(`/proc/${pid}/cmdline`) ?? "?")
    .split("\0")
    .filter((part) => part !== "");
  const script = args.find((argument) => /\.[cm]?[jt]s$/.test(argument));
  return [basename(program), ...(script === undefined ? [] : [shortPath(script)])].join(" ");
}

/** From below `packages/` on, since programs of packages share their names; of others the name. */
function shortPath(script: string): string {
  return /\/packages\/(.+)$/.exec(script)?.[1] ?? basename(script);
}

/** The command name may hold spaces and parentheses, so fields count from the last closing one. */
function readStat(pid: number): string[] | null {
  const text = read(`/proc/${pid}/stat`);
  return text === null ? null : text.slice(text.lastIndexOf(")") + 2).split(" ");
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function systemNumber(name: string, fallback: number): number {
  try {
    return Number(execFileSync("getconf", [name], { encoding: "utf8" })) || fallback;
  } catch {
    return fallback;
  }
}
