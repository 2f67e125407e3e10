/** Usage as OpenAI's answers tell it, found without parsing them. */
import type { TokenUsage } from "../../core/forward.ts";
import { asBuffer } from "../json/parse-json.ts";
import { KeyFinder, readCount } from "../streams/key-finder.ts";

const names = [
  "prompt_tokens",
  "input_tokens",
  "completion_tokens",
  "output_tokens",
  "cached_tokens",
] as const;
const finder = new KeyFinder(names);
const usageName = Buffer.from('"usage"');

/** From the last `usage` of a whole answer or its end; undefined where there is none. */
export function readUsage(bytes: Uint8Array): TokenUsage | undefined {
  const at = asBuffer(bytes).lastIndexOf(usageName);
  if (at < 0) return undefined;
  let promptTokens = 0;
  let completionTokens = 0;
  let cachedTokens = 0;
  let isTold = false;
  finder.begin(bytes, at, bytes.length);
  for (let key = finder.next(); key >= 0; key = finder.next()) {
    isTold = true;
    const count = readCount(bytes, finder.valueAt);
    if (key < 2) promptTokens = count;
    else if (key < 4) completionTokens = count;
    else cachedTokens = count;
  }
  return isTold ? { promptTokens, cachedTokens, completionTokens, estimated: false } : undefined;
}
