/** Arguments of tool calls, for APIs that want them as an object. */
import { defaultJsonLimits, scanJson } from "../json/scan-json.ts";
import { isJsonObject, type JsonObject } from "./json-object.ts";

/** Arguments as an object: an empty one for an empty text, undefined for a text that is no JSON object or nests too deep. */
export function parseArguments(text: string): JsonObject | undefined {
  if (text.trim() === "") return {};
  if (scanJson(Buffer.from(text), defaultJsonLimits) !== undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
