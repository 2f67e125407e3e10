/** Seeded pseudo-random numbers, so that a workload is the same bytes at the same times on every run. */

/** A source of numbers uniform in [0, 1). */
export type Random = () => number;

/**
 * A generator of 32-bit quality from a 32-bit seed: the SplitMix32 sequence (Steele, Lea and Flood, "Fast Splittable
 * Pseudorandom Number Generators", OOPSLA 2014, reduced to 32 bits). The same seed gives the same sequence everywhere.
 */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    mixed ^= mixed >>> 15;
    return (mixed >>> 0) / 4294967296;
  };
}
