/** Durations and sizes as people write them. */

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 };
const sizeUnits: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** What a duration looks like; group 1 is the number, group 2 the unit. */
export const durationPattern = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)$/;

/** What a size looks like; group 1 is the number, group 2 the unit. */
export const sizePattern = /^(\d+(?:\.\d+)?) ?(B|kB|KB|MB|GB|KiB|MiB|GiB)$/;

/** Milliseconds of a text such as `500ms`, `10s`, `1.5m`; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  return parseUnits(text, durationPattern, durationUnits);
}

/** Bytes of a text such as `64MiB` (2^20 each) or `64MB` (10^6 each); undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const bytes = parseUnits(text, sizePattern, sizeUnits);
  return bytes === undefined ? undefined : Math.round(bytes);
}

function parseUnits(
  text: string,
  pattern: RegExp,
  units: Readonly<Record<string, number>>,
): number | undefined {
  const [, number, unit] = pattern.exec(text) ?? [];
  const factor = units[unit ?? ""];
  return number === undefined || factor === undefined ? undefined : Number(number) * factor;
}
