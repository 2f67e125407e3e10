/** Changes the file of keys: one writer at a time, whole or not at all. */
import { constants } from "node:fs";
import { open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { isMap, isSeq, parseDocument, type Document } from "yaml";
import type { KeyLimits } from "../contracts/options.ts";
import type { Scope } from "../core/request.ts";
import { CommandError } from "./command-error.ts";

/** A key as it stands in the file. */
export interface KeyEntry {
  readonly id: string;
  /** `sha256:` and hex. */
  readonly secret: string;
  readonly scopes: readonly Scope[];
  readonly limits?: Partial<Record<keyof KeyLimits, number>>;
  readonly expires?: string;
  readonly models?: readonly string[];
}

/** How long another `spillway keys` may take. */
const patience = { tries: 40, pauseMs: 50 };

const heading =
  " Keys that may call the gateway, written by `spillway keys`. It holds no secrets, only their SHA-256.";

/** Adds a key. Comments and order of the file stay. */
export async function addKey(file: string, entry: KeyEntry): Promise<void> {
  await change(file, (document) => {
    const keys = document.get("keys");
    if (isSeq(keys)) {
      // `keys: []` would go on in one line.
      if (keys.items.length === 0) keys.flow = false;
      keys.add(document.createNode(entry));
    } else document.set("keys", document.createNode([entry]));
  });
}

/** Takes a key out. False when it is not in the file. */
export async function removeKey(file: string, id: string): Promise<boolean> {
  let found = false;
  await change(file, (document) => {
    const keys = document.get("keys");
    if (!isSeq(keys)) return;
    const index = keys.items.findIndex((item) => isMap(item) && item.get("id") === id);
    found = index >= 0;
    if (found) keys.delete(index);
  });
  return found;
}

/** A file with this key alone, to paste from. */
export function formatEntry(entry: KeyEntry): string {
  const document = parseDocument("keys: []");
  document.set("keys", document.createNode([entry]));
  return document.toString({ lineWidth: 0 });
}

/** Written beside the file and renamed over it; the draft keeps a second writer away. A link stays a link. */
async function change(named: string, edit: (document: Document) => void): Promise<void> {
  const file = await realpath(named).catch(() => named);
  const draft = `${file}.draft`;
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  const handle = await openDraft(draft, flags);
  try {
    const document = parseDocument(await readOrBegin(file));
    edit(document);
    await handle.writeFile(document.toString({ lineWidth: 0 }));
    await handle.chmod(await modeOf(file));
    await handle.sync();
    await handle.close();
    await rename(draft, file);
  } catch (error) {
    await handle.close().catch(() => {});
    await rm(draft, { force: true });
    throw error;
  }
}

async function openDraft(draft: string, flags: number): ReturnType<typeof open> {
  for (let tries = 1; ; tries++) {
    try {
      return await open(draft, flags, 0o600);
    } catch (error) {
      if (!hasCode(error, "EEXIST")) throw error;
      if (tries >= patience.tries) {
        throw new CommandError(`another "spillway keys" is writing; if none runs, remove ${draft}`);
      }
      await pause(patience.pauseMs);
    }
  }
}

async function readOrBegin(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
    return `#${heading}\nkeys: []\n`;
  }
}

/** A file that is there keeps its mode: the gateway may run as another user. */
async function modeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).mode & 0o777;
  } catch {
    return 0o600;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
