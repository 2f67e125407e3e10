/** The folder that sockets of child processes lie in. */
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { GatewayError } from "../core/errors.ts";

/** A Unix socket's path may have 107 bytes; a longer temporary folder is not used. */
const maxSocketPathBytes = 107;

/** Where folders for sockets are made: `temporary`, or `/tmp` where paths below it would be too long. */
export function socketFolderParent(temporary: string): string {
  const longest = Buffer.byteLength(join(temporary, "spw-XXXXXX", "99999.sock"));
  return longest <= maxSocketPathBytes ? temporary : "/tmp";
}

/** Makes a new folder of mode 0700 in the parent for `temporary`. Throws a `GatewayError`. */
export function makeSocketFolder(temporary: string): string {
  const parent = socketFolderParent(temporary);
  try {
    return mkdtempSync(join(parent, "spw-"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const text = `No folder for the workers' sockets can be made in ${parent}: ${reason}. Make room there, or set TMPDIR to another folder.`;
    throw new GatewayError("internal", text, { cause });
  }
}
