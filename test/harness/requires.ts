// Tests that need a program which is not an npm package: skipped where it is missing, failed in CI.
import { accessSync, constants, statSync } from "node:fs";
import path from "node:path";
import type { TestContext } from "node:test";

/**
 * The absolute path of a program on the PATH, or undefined after the test has been marked as skipped: return
 * from the test then. With `SPILLWAY_TEST_STRICT=1` in the environment a missing program fails the test.
 *
 * @param howToInstall a command or sentence for somebody who does not know the program
 */
export function requireProgram(t: TestContext, name: string, howToInstall: string): string | undefined {
  const found = findProgram(name, process.env["PATH"] ?? "");
  if (found !== undefined) return found;
  skipWithout(t, `needs ${name}: ${howToInstall}`);
  return undefined;
}

/** Marks a test as skipped for what this machine lacks, told to somebody who does not know; fails it with `SPILLWAY_TEST_STRICT=1`. */
export function skipWithout(t: TestContext, message: string): void {
  if (process.env["SPILLWAY_TEST_STRICT"] === "1") throw new Error(message);
  t.skip(message);
}

/** The first executable file called `name` in the folders of `searchPath`, which is written like PATH. */
export function findProgram(name: string, searchPath: string): string | undefined {
  const candidates = searchPath
    .split(path.delimiter)
    .filter(Boolean)
    .map((folder) => path.join(folder, name));
  return candidates.find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
