/** What options of commands are given: each reader takes the text and refuses what it cannot mean, in a sentence. */
import { InvalidArgumentError } from "commander";
import { isMoment } from "../core/api-key.ts";
import { systemClock } from "../core/clock.ts";
import { parseGoDuration } from "../core/go-duration.ts";

/** An option that may be repeated. */
export function collect(value: string, earlier: readonly string[] = []): string[] {
  return [...earlier, value];
}

/** 0 to 65535. */
export function readPort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError("Expected a port from 0 to 65535.");
}

/** A whole number from 1 to 999999999. */
export function readCount(text: string): number {
  const count = Number(text);
  if (/^\d{1,9}$/.test(text) && count > 0) return count;
  throw new InvalidArgumentError("Expected a whole number from 1 to 999999999.");
}

/** Names separated by commas. */
export function readNames(text: string): string[] {
  return text.split(",").map((part) => part.trim());
}

/** Scopes of keys, each once. */
export function readScopes(text: string): string[] {
  const scopes = readNames(text);
  if (scopes.every((scope) => ["infer", "status", "admin"].includes(scope))) return [...new Set(scopes)];
  throw new InvalidArgumentError("Expected infer, status or admin, separated by commas.");
}

/** A day (UTC) or a time with its zone that is still to come. */
export function readMoment(text: string): string {
  if (isMoment(text)) {
    if (Date.parse(text) > systemClock.wallNow()) return text;
    throw new InvalidArgumentError("It has passed: nobody could use the key.");
  }
  throw new InvalidArgumentError("Expected a day such as 2027-01-31, or a time with its zone.");
}

/** A number above 0. */
export function readPositive(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("Expected a number above 0.");
}

/** Numbers separated by commas. */
export function readNumbers(text: string): number[] {
  return text.split(",").map((part) => {
    const value = Number(part);
    if (part.trim() !== "" && Number.isFinite(value)) return value;
    throw new InvalidArgumentError(`"${part.trim()}" is not a number.`);
  });
}

/** An address of HTTP or HTTPS. */
export function readUrl(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError("Expected an address such as http://127.0.0.1:30080.");
}

/** As `readNames`; what is empty is left out. */
export function readList(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** Milliseconds of a duration as Go writes it: `50ms`, `1m30s`. */
export function readGoDuration(text: string): number {
  const ms = parseGoDuration(text);
  if (ms !== undefined && ms >= 0) return ms;
  throw new InvalidArgumentError("Expected a duration such as 50ms, 2s or 1m30s.");
}

/** As Go reads flags: 1, t, true, 0, f, false; nothing is true. */
export function readBoolean(text: string | boolean): boolean {
  if (typeof text === "boolean") return text;
  if (/^(1|t|true)$/i.test(text)) return true;
  if (saysNo(text)) return false;
  throw new InvalidArgumentError("Expected true or false.");
}

/** True for 0, f and false. */
export function saysNo(text: string): boolean {
  return /^(0|f|false)$/i.test(text);
}
