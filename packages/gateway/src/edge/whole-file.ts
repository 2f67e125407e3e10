/** Small files of the data directory: written whole or not at all, and on the disk; readable by their owner alone. */
import { mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { failure, type Failure } from "../core/errors.ts";

/** Replaces a file of a folder, which is made where it is not there. `storage_unavailable` where it cannot be written. */
export async function writeWholeFile(
  folder: string,
  name: string,
  text: string,
): Promise<Failure | undefined> {
  const path = join(folder, name);
  const draft = `${path}.tmp`;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = await open(draft, "w", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
    return undefined;
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined);
    return failure("storage_unavailable", `${path} cannot be written: ${textOf(error)}`);
  }
}

/** The file is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/** What went wrong, in the system's words. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
