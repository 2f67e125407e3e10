/** Processes of the machine, as Linux shows them; elsewhere nothing is known of them. */
import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";

/** True on systems where these functions tell something. */
export const processesAreKnown: boolean = process.platform === "linux";

/** Process ids of the children of a process; empty where that is not known. */
export function childrenOf(pid: number): number[] {
  const text = readProc(`${pid}/task/${pid}/children`)?.trim() ?? "";
  return text === "" ? [] : text.split(" ").map(Number);
}

/** True while the process runs; one that has ended and that nobody has waited for does not. */
export function isRunning(pid: number): boolean {
  const stat = readProc(`${pid}/stat`);
  // The state follows the name, which stands in parentheses and may hold anything.
  return stat !== undefined && !/^ [ZX]/.test(stat.slice(stat.lastIndexOf(")") + 1));
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
