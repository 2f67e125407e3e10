/** Processes of the machine; what only Linux shows is empty elsewhere. */
import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";

/** True where `childrenOf` tells something. */
export const processesAreKnown: boolean = process.platform === "linux";

/** Process ids of the children of a process; empty where that is not known. */
export function childrenOf(pid: number): number[] {
  const text = readProc(`${pid}/task/${pid}/children`)?.trim() ?? "";
  return text === "" ? [] : text.split(" ").map(Number);
}

/** True while the process runs; one that has ended and that nobody has waited for does not. */
export function isRunning(pid: number): boolean {
  if (!processesAreKnown) return answersSignals(pid);
  const stat = readProc(`${pid}/stat`);
  // The state follows the name, which stands in parentheses and may hold anything.
  return stat !== undefined && !/^ [ZX]/.test(stat.slice(stat.lastIndexOf(")") + 1));
}

function answersSignals(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function readProc(file: string): string | undefined {
  try {
    return readFileSync(`/proc/${file}`, "utf8");
  } catch {
    return undefined;
  }
}

/** Halts a process until the returned function is called, or the test has ended. */
export function haltProcess(test: Pick<TestContext, "after">, pid: number): () => void {
  let halted = true;
  const goOn = (): void => {
    if (halted && isRunning(pid)) process.kill(pid, "SIGCONT");
    halted = false;
  };
  process.kill(pid, "SIGSTOP");
  test.after(goOn);
  return goOn;
}
