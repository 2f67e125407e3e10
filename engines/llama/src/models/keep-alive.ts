/** Ollama's `keep_alive`: how long a model stays loaded after its last request. */
import { Refusal } from "../refusal.ts";

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/**
 * Milliseconds; `Infinity` for a negative number. A number counts seconds, a text is Go's duration (`5m`, `1h30m`)
 * or a number. Undefined for undefined and null. Throws a `Refusal` for anything else.
 */
export function readKeepAlive(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  const ms = typeof value === "number" ? value * 1_000 : durationMs(value);
  if (Number.isNaN(ms))
    throw new Refusal(
      "invalid_request",
      'keep_alive: expected seconds or a duration such as "5m"',
      "keep_alive",
    );
  return ms < 0 ? Infinity : ms;
}

function durationMs(value: unknown): number {
  if (typeof value !== "string") return Number.NaN;
  const text = value.trim();
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text) * 1_000;
  if (!/^-?(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return Number.NaN;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    sum += Number(amount) * (unitMs[unit ?? ""] ?? 0);
  }
  return text.startsWith("-") ? -sum : sum;
}
