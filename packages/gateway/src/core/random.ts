/** Randomness as a parameter. */
import { randomBytes, randomInt } from "node:crypto";

/** A source of random numbers and names. */
export interface Random {
  /** Uniform in [0, 1). */
  unit(): number;
  /** A name that does not repeat: 20 characters of lower-case hex. */
  id(): string;
}

/** Two digits for each byte: a number above 2³¹ is written in hex far more slowly. */
const hexBytes: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** Randomness of the machine. Ids are a random start per process and a counter, so that one costs no system call. */
export function createSystemRandom(): Random {
  const prefix = randomBytes(5).toString("hex");
  let high = randomInt(2 ** 16);
  let low = randomInt(2 ** 16);
  let beginning = prefix + high.toString(16).padStart(6, "0");
  return {
    unit: () => Math.random(),
    id() {
      if (low === 2 ** 16) {
        low = 0;
        high = (high + 1) % 2 ** 24;
        beginning = prefix + high.toString(16).padStart(6, "0");
      }
      const id = `${beginning}${hexBytes[low >> 8]}${hexBytes[low & 0xff]}`;
      low++;
      return id;
    },
  };
}

/**
 * Randomness that is the same again for the same seed: for simulations and for what is to be run again. Ids repeat as well.
 * SplitMix32-like steps over a counter; not for secrets.
 */
export function createSeededRandom(seed: number): Random {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let word = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
    return (word ^ (word >>> 16)) >>> 0;
  };
  const hex = (): string => next().toString(16).padStart(8, "0");
  return { unit: () => next() / 2 ** 32, id: () => (hex() + hex() + hex()).slice(0, 20) };
}
