// @ts-check
// Numbers, sizes and times for people. What is not known is an en dash.

const none = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const precise = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hour12: false });

/** @param {number} value */
export function count(value) {
  return value < 100_000 ? whole.format(value) : compact.format(value);
}

/**
 * @param {number | null} share
 * @param {number} [digits]
 */
export function percent(share, digits = 0) {
  if (share === null || !Number.isFinite(share)) return none;
  // Rounded down, so that not all is never shown as all, and what is below a threshold never as at it.
  const scale = 10 ** digits;
  return `${(Math.floor(share * 100 * scale + 1e-6) / scale).toFixed(digits)} %`;
}

/** @param {number | null} ms */
export function duration(ms) {
  if (ms === null || !Number.isFinite(ms)) return none;
  if (ms === 0) return "0";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  return age(ms);
}

/**
 * A long time in its largest unit or two.
 * @param {number} ms
 */
export function age(ms) {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  const hours = Math.floor(seconds / 3_600);
  if (hours < 48) return `${hours} h ${Math.floor((seconds % 3_600) / 60)} min`;
  return `${Math.floor(hours / 24)} days`;
}

/**
 * @param {number | null} at
 * @param {number} now
 */
export function ago(at, now) {
  if (at === null) return "never";
  return now - at < 2_000 ? "just now" : `${age(now - at)} ago`;
}

/** @param {number} bytes */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ""}`;
}

/** @param {number} at */
export function time(at) {
  return precise.format(at);
}

/** @param {number} at */
export function moment(at) {
  return full.format(at);
}

/**
 * The beginning of a chart's slot.
 * @param {number} at
 * @param {"hours" | "days"} span
 */
export function slotName(at, span) {
  // Days are those of UTC: their noon is that day nearly everywhere.
  return span === "hours" ? `${day.format(at)}, ${clock.format(at)}` : day.format(at + 43_200_000);
}

/**
 * The same, short, for an axis.
 * @param {number} at
 * @param {"hours" | "days"} span
 */
export function tickName(at, span) {
  return span === "hours" ? clock.format(at) : day.format(at + 43_200_000);
}

/**
 * A word of the API as people write it: `no_local_model` is "no local model".
 * @param {string} word
 */
export function plain(word) {
  return word.replaceAll("_", " ").toLowerCase();
}

/** @param {string} word */
export function capital(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
