/** Metadata as header fields that no peer refuses. */
import type { Metadata } from "./types.ts";

/**
 * Names in lower case; line breaks and NUL, which end a header early at some peers, become spaces.
 * Returns the input when there is nothing to change.
 */
export function cleanMetadata(metadata: Metadata): Metadata {
  return metadata.every(isClean) ? metadata : metadata.map(cleanField);
}

function isClean([name, value]: readonly [string, string]): boolean {
  return !/[A-Z]/.test(name) && !/[\0\r\n]/.test(value);
}

function cleanField([name, value]: readonly [string, string]): [string, string] {
  return [name.toLowerCase(), value.replaceAll(/[\0\r\n]/g, " ")];
}
