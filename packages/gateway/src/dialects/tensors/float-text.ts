/** The shortest decimal text that reads back as the same narrow float: 0.1 rather than 0.10000000149011612. */
import { roundToBfloat, roundToHalf } from "./half.ts";

/** A float narrower than a double: how it rounds, and with how many digits to look for it. */
interface NarrowFloat {
  readonly round: (value: number) => number;
  /** Digits tried first; shorter texts are found by it too, since trailing zeros are not printed. */
  readonly fromDigits: number;
  /** With this many digits every value is found. */
  readonly toDigits: number;
}

const half: NarrowFloat = { round: roundToHalf, fromDigits: 3, toDigits: 5 };
const bfloat: NarrowFloat = { round: roundToBfloat, fromDigits: 2, toDigits: 4 };

/** Powers of ten that are exact doubles. */
const powersOfTen = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));

/**
 * A double that prints as the short text of `value`, which is a 32-bit float. One division of two
 * exact doubles is correctly rounded, so the quotient is the double nearest to the short decimal.
 * Whole numbers, infinities and NaN are given back as they are.
 */
export function shortFloat(value: number): number {
  const size = value < 0 ? -value : value;
  if (!(size < 1e7 && size >= 1e-9)) return rareFloat(value, size);
  if (value === Math.trunc(value)) return value;
  // Seven digits, then eight, then nine: the first that survives the rounding to 32 bits.
  let power = 7 - digitsBeforePoint(size);
  for (const last = power + 2; power < last; power++) {
    const scale = powersOfTen[power] ?? 1;
    const short = Math.round(value * scale) / scale;
    if (Math.fround(short) === value) return short;
  }
  const scale = powersOfTen[power] ?? 1;
  return Math.round(value * scale) / scale;
}

/** How many digits stand before the decimal point; 0 for 0.1…, negative for smaller values. Expects 1e-9 to 1e7. */
function digitsBeforePoint(size: number): number {
  if (size >= 1) {
    if (size < 10) return 1;
    if (size < 100) return 2;
    if (size < 1e3) return 3;
    if (size < 1e4) return 4;
    if (size < 1e5) return 5;
    return size < 1e6 ? 6 : 7;
  }
  if (size >= 0.1) return 0;
  if (size >= 0.01) return -1;
  if (size >= 1e-3) return -2;
  if (size >= 1e-4) return -3;
  if (size >= 1e-5) return -4;
  if (size >= 1e-6) return -5;
  if (size >= 1e-7) return -6;
  return size >= 1e-8 ? -7 : -8;
}

function rareFloat(value: number, size: number): number {
  if (size === 0 || !(size < Infinity)) return value;
  for (let digits = 7; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}

/** As `shortFloat`, for a value of the named 16-bit type. */
export function shortNarrowFloat(value: number, type: "FP16" | "BF16"): number {
  const { round, fromDigits, toDigits } = type === "FP16" ? half : bfloat;
  for (let digits = fromDigits; digits < toDigits; digits++) {
    const short = Number(value.toPrecision(digits));
    if (round(short) === value) return short;
  }
  return Number.isFinite(value) ? Number(value.toPrecision(toDigits)) : value;
}
