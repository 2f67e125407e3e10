/** The pause that a server asks for. */

/** Longest pause that a server may ask for, ms. */
const maxRetryAfterMs = 3_600_000;

/** `Retry-After`, seconds or a date (RFC 9110 10.2.3), as milliseconds; undefined where it is neither. */
export function readRetryAfter(text: string | undefined, wallNow: number): number | undefined {
  if (text === undefined || text.trim() === "") return undefined;
  const seconds = Number(text);
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(text) - wallNow;
  return Number.isNaN(ms) ? undefined : Math.min(maxRetryAfterMs, Math.max(0, ms));
}
