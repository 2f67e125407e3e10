/** Durations as Go writes them (https://pkg.go.dev/time#ParseDuration): `1h15m30.5s`, `300ms`. */

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

const part = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;

/** Milliseconds; undefined for what is no duration. A plain `0` is one, other numbers without a unit are not. */
export function parseGoDuration(text: string): number | undefined {
  const sign = text.startsWith("-") ? -1 : 1;
  const digits = /^[+-]/.test(text) ? text.slice(1) : text;
  if (digits === "0") return 0;
  // No real duration is longer.
  if (digits === "" || digits.length > 64) return undefined;
  let ms = 0;
  part.lastIndex = 0;
  for (let at = 0; at < digits.length; at = part.lastIndex) {
    const found = part.exec(digits);
    if (found === null) return undefined;
    const [, number = "", unit = ""] = found;
    ms += Number(number) * (unitMs[unit] ?? 0);
  }
  return sign * ms;
}
