/** Records of the store, read back. */
import type { QueryRecord } from "../contracts/edge-records.ts";

/** Undefined for a text that this store did not write. */
export function readQueryRecord(text: string): QueryRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("query" in value)) return undefined;
    return typeof value.query === "object" && value.query !== null ? (value as QueryRecord) : undefined;
  } catch {
    return undefined;
  }
}
