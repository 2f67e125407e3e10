/** Says on what and of what something was measured. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { arch, availableParallelism, cpus, platform, release, totalmem } from "node:os";
import { repositoryRoot } from "./paths.ts";

/** The machine of a measurement. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly node: string;
  readonly system: string;
}

/** The source of a measurement. */
export interface Revision {
  /** `unknown` outside a git checkout. */
  readonly commit: string;
  /** Whether tracked files other than results differ from the commit. */
  readonly changed: boolean;
}

/** The machine this runs on. */
export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    node: process.version,
    system: `${distribution()}, ${platform()} ${release()} ${arch()}`,
  };
}

/** One line for people. */
export function machineLine(machine: Machine): string {
  const gigabytes = (machine.memoryBytes / 2 ** 30).toFixed(0);
  return `${machine.cpu}, ${machine.cores} cores, ${gigabytes} GB, Node ${machine.node}, ${machine.system}`;
}

/** The checkout this runs from. */
export function describeRevision(): Revision {
  const changes = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results");
  return { commit: git("rev-parse", "HEAD") ?? "unknown", changed: changes !== "" };
}

function git(...args: string[]): string | null {
  try {
    const output = execFileSync("git", args, { cwd: repositoryRoot, stdio: ["ignore", "pipe", "ignore"] });
    return output.toString().trim();
  } catch {
    return null;
  }
}

function distribution(): string {
  try {
    return /^PRETTY_NAME="(.*)"$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "unknown";
  } catch {
    return "unknown";
  }
}
