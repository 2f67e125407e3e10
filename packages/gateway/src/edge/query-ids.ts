/** Ids of image queries: KSUIDs with milliseconds, as Groundlight's own clients make them. */
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Where KSUIDs begin to count seconds. */
const epochSeconds = 1_400_000_000;

const idLength = 27;

/**
 * Makes ids: `iq_` and 27 digits of base 62. They stand for 160 bits: 40 of time since 2014-05-13 in steps of 4 ms, then 120
 * random ones, so that they sort by time.
 */
export function createQueryIds({ clock, random }: { readonly clock: Clock; readonly random: Random }) {
  const word = (): number => Math.floor(random.unit() * 2 ** 32) >>> 0;
  return (): string => {
    const now = clock.wallNow();
    const seconds = Math.floor(now / 1_000);
    const words = [
      (seconds - epochSeconds) >>> 0,
      (((Math.floor(now - seconds * 1_000) >>> 2) << 24) | (word() >>> 8)) >>> 0,
      word(),
      word(),
      word(),
    ];
    return `iq_${toBase62(words)}`;
  };
}

/** A number of 32-bit words, the highest first. Overwrites them. */
function toBase62(words: number[]): string {
  let text = "";
  while (text.length < idLength) {
    let rest = 0;
    for (let i = 0; i < words.length; i++) {
      const value = rest * 2 ** 32 + (words[i] ?? 0);
      const quotient = Math.floor(value / 62);
      words[i] = quotient;
      // Exact below 2^53, and ten times as fast as the remainder of numbers that are no 32-bit integers.
      rest = value - quotient * 62;
    }
    text = (digits[rest] ?? "0") + text;
  }
  return text;
}
