/** Configurations as texts that are equal where they mean the same. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Secret } from "../core/secret.ts";

/**
 * A text for plain data, maps, sets and secrets: keys in order, what is undefined left out. Secrets are hashed, those in
 * files by what the files hold now. Functions are left out.
 */
export function canonical(value: unknown): string {
  return JSON.stringify(plain(value)) ?? "undefined";
}

function plain(value: unknown): unknown {
  if (value instanceof Secret) return { secret: hashed(value.reveal(readOrNothing)) };
  if (value instanceof Map) return { map: [...value].map(plain) };
  if (value instanceof Set) return { set: [...value].map(plain) };
  if (Array.isArray(value)) return value.map(plain);
  // JSON has no words for these.
  if (typeof value === "number" && !Number.isFinite(value)) return { number: String(value) };
  if (typeof value === "bigint") return { number: String(value) };
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(
    fields.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, field]) => [name, plain(field)]),
  );
}

/** What a file holds now, hashed; `undefined`: it cannot be read. */
export function hashedFile(path: string): string | undefined {
  try {
    return hashed(readFileSync(path));
  } catch {
    return undefined;
  }
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function hashed(text: string | Buffer): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}
