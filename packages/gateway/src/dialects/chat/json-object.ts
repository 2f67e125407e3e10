/** Parsed JSON that is passed on or looked into. */

/** An object of parsed JSON. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** True for an object that is no array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
