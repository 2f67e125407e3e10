/** What newer clients of Anthropic say that servers with an address of its kind refuse. */
import { asBuffer } from "../json/parse-json.ts";

const system = Buffer.from('"system"');
const role = Buffer.from('"role"');
const deferred = Buffer.from('"defer_loading"');

/** Bytes of a large body that are looked at in one turn of the event loop: about a millisecond. */
const turnBytes = 1_048_576;

/** Longest distance between a name and its value that counts, bytes. */
const reach = 64;

/**
 * Rules between messages (`role: "system"`), and tools that are to be shown once they were asked for. Servers of other
 * makes refuse them, or their models' templates do, though they serve `/v1/messages`. Found without parsing: within a string
 * the quotes of such words are escaped.
 */
export function hasLaterWords(body: Uint8Array): boolean {
  return hasWords(asBuffer(body));
}

/** The same for a large body, which gives the event loop a turn again and again. */
export function* hasLaterWordsInTurns(body: Uint8Array): Generator<void, boolean> {
  for (let at = 0; at < body.length; at += turnBytes) {
    if (hasWords(asBuffer(body.subarray(Math.max(0, at - reach), at + turnBytes)))) return true;
    yield;
  }
  return false;
}

function hasWords(bytes: Buffer): boolean {
  if (bytes.includes(deferred)) return true;
  for (let at = bytes.indexOf(system); at >= 0; at = bytes.indexOf(system, at + system.length))
    if (isRole(bytes, at)) return true;
  return false;
}

/** Whether the text here is the value of `role`. */
function isRole(bytes: Buffer, at: number): boolean {
  const before = bytes.toString("latin1", Math.max(0, at - reach), at).trimEnd();
  return before.endsWith(":") && before.slice(0, -1).trimEnd().endsWith(role.toString());
}
