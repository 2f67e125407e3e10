/** Numbers of tokens as servers tell them. */

/** A whole number from 0 on; undefined for anything else: limits and metrics only ever grow by what is told. */
export function tokenCount(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
