/** The folder that sockets of child processes lie in. */
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { GatewayError } from "../core/errors.ts";

/** A Unix socket's path may have 107 bytes; a longer temporary folder is not used. */
const maxSocketPathBytes = 107;

/** Makes a new folder of mode 0700 in `temporary`, or in `/tmp` where that is too long. Throws a `GatewayError`. */
export function makeSocketFolder(temporary: string): string {
  const longest = Buffer.byteLength(join(temporary, "spw-XXXXXX", "99999.sock"));
  const parent = longest <= maxSocketPathBytes ? temporary : "/tmp";
  try {
    return mkdtempSync(join(parent, "spw-"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const text = `No folder for the workers' sockets can be made in ${parent}: ${reason}. Make room there, or set TMPDIR to another folder.`;
    throw new GatewayError("internal", text, { cause });
  }
}
