/** Randomness as a parameter. */
import { randomBytes, randomInt } from "node:crypto";

/** A source of random numbers and names. */
export interface Random {
  /** Uniform in [0, 1). */
  unit(): number;
  /** A name that does not repeat: 20 characters of lower-case hex. */
  id(): string;
}

/** Randomness of the machine. Ids are a random start per process and a counter, so that one costs no system call. */
export function createSystemRandom(): Random {
  const prefix = randomBytes(5).toString("hex");
  let next = randomInt(2 ** 32);
  return {
    unit: () => Math.random(),
    id: () => prefix + (next++ % 2 ** 40).toString(16).padStart(10, "0"),
  };
}
