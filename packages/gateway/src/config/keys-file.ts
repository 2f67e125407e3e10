/** The file of keys that `spillway keys` writes and the gateway watches. */
import type { KeyOptions } from "../contracts/options.ts";
import { compileKey } from "./compiled.ts";
import { findKeyContradictions } from "./key-relations.ts";
import { isMissing, whyUnreadable } from "../core/why-unreadable.ts";
import { readDocument, readText } from "./read-document.ts";
import { keysFileSchema } from "./schema.ts";

/**
 * Keys, or what is wrong with their file: one sentence a problem. `missing`: there is no file, and so
 * no key in it.
 */
export type KeysResult =
  | { readonly keys: readonly KeyOptions[]; readonly missing: boolean }
  | { readonly errors: readonly string[] };

/** Where keys are read from. */
export interface KeysFileOptions {
  /** Absolute path. */
  readonly file: string;
  /** Keys that the configuration holds: an id may be in one place only. */
  readonly inline: readonly KeyOptions[];
}

/** Reads the file. Never throws. */
export async function loadKeys(options: KeysFileOptions): Promise<KeysResult> {
  try {
    return parseKeys(await readText(options.file), options);
  } catch (error) {
    if (isMissing(error)) return { keys: [], missing: true };
    return { errors: [`${options.file}: ${whyUnreadable(error)}`] };
  }
}

/** Reads the text of a file of keys. */
export function parseKeys(text: string, { file, inline }: KeysFileOptions): KeysResult {
  const ids = new Set(inline.map(({ id }) => id));
  const result = readDocument(text, {
    schema: keysFileSchema,
    file,
    // Nothing in it differs between machines.
    environment: {},
    findContradictions: ({ keys }) => findKeyContradictions(keys, { path: ["keys"], taken: ids }),
  });
  return "errors" in result ? result : { keys: result.value.keys.map(compileKey), missing: false };
}
