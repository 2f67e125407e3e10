/** The name that a request keeps through answers and logs. */
import type { Random } from "./random.ts";

const sane = /^[\x21-\x7e]{1,128}$/;

/** The caller's own id where it is at most 128 visible ASCII characters, else a new one. */
export function requestIdFrom(given: string | undefined, random: Random): string {
  return given !== undefined && sane.test(given) ? given : random.id();
}
