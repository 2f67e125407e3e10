/** Whether two findings say the same. */
import type { Finding } from "../core/detector.ts";

/** Labels are compared as they are, counts with whether there were more, texts without surrounding space and case. */
export function sameFinding(a: Finding, b: Finding): boolean {
  if (a.mode === "COUNT" && b.mode === "COUNT")
    return a.count === b.count && a.greaterThanMax === b.greaterThanMax;
  if (a.mode === "TEXT" && b.mode === "TEXT") return plain(a.text) === plain(b.text);
  return "label" in a && "label" in b && a.mode === b.mode && a.label === b.label;
}

function plain(text: string | null): string | undefined {
  return text?.trim().toLowerCase();
}
