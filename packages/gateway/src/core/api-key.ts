/**
 * API keys: `spw_<id>_<secret>`, the secret being 32 random bytes in base64url. The id names the key
 * in configuration, logs and metrics; of the secret only a SHA-256 is kept, which is enough for one
 * that cannot be guessed.
 */
import { hash, randomBytes } from "node:crypto";

/** What every key begins with, so that one that leaked is found. */
export const keyPrefix = "spw_";

const secretBytes = 32;

/** 32 bytes in base64url without padding. */
const secretLength = 43;

const maxIdLength = 64;

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Ids that mean something else in logs and metrics. */
const reservedIds: readonly string[] = ["anonymous", "local", "other", "unknown"];

/** True for what a key may be called: at most 64 letters, digits, dots, dashes and underscores, and no word that means something else. */
export function isKeyId(text: string): boolean {
  return idPattern.test(text) && !reservedIds.includes(text);
}

/** A day, or a time with its zone. */
export const momentPattern = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d))?$/;

/** True for when a key may expire: a day, which begins at midnight UTC, or a time with its zone. */
export function isMoment(text: string): boolean {
  return momentPattern.test(text) && !Number.isNaN(Date.parse(text));
}

/** A new secret. */
export function createSecret(): string {
  return randomBytes(secretBytes).toString("base64url");
}

/** What is kept of a secret: SHA-256 of its characters, 64 digits of lower-case hex. */
export function digestSecret(secret: string): string {
  return hash("sha256", secret, "hex");
}

/** The whole key, as its holder sends it. */
export function formatKey(id: string, secret: string): string {
  return `${keyPrefix}${id}_${secret}`;
}

/** The two parts of a key; undefined for what has not the form of one. Costs the same however long the text is. */
export function parseKey(text: string): { readonly id: string; readonly secret: string } | undefined {
  const mark = text.length - secretLength - 1;
  const idLength = mark - keyPrefix.length;
  if (idLength < 1 || idLength > maxIdLength || text[mark] !== "_" || !text.startsWith(keyPrefix)) {
    return undefined;
  }
  return { id: text.slice(keyPrefix.length, mark), secret: text.slice(mark + 1) };
}
