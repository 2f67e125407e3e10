/** Ids in the cloud's shape: a prefix and 27 characters of base 62. */
import { createRandom, hashText } from "../random.ts";
import type { Random } from "../random.ts";

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** A new id: `iq_3…`. The first digit is that of KSUIDs of these years. */
export function makeId(prefix: string, random: Random): string {
  let id = `${prefix}3`;
  while (id.length < prefix.length + 27) id += DIGITS[Math.floor(random.unit() * DIGITS.length)] ?? "0";
  return id;
}

/** The id of something by its name: the same in every run. */
export function idOfName(prefix: string, name: string): string {
  return makeId(prefix, createRandom(hashText(name)));
}
