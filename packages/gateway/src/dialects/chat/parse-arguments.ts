/** Arguments of tool calls, for APIs that want them as an object. */
import { isJsonObject, type JsonObject } from "./json-object.ts";

/** Arguments as an object: an empty one for an empty text, undefined for a text that is no JSON object. */
export function parseArguments(text: string): JsonObject | undefined {
  if (text.trim() === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
