/** `Retry-After` of a server's answer. */
import { headerValue, type HeaderMap } from "../core/headers.ts";

/** Longer waits are cut to this, ms: a server's mistake must not take it away for days. */
const longest = 3_600_000;

/** Milliseconds to wait; undefined where the header is missing or a date, which needs the server's clock. */
export function retryAfterMs(headers: HeaderMap): number | undefined {
  // OpenAI and Anthropic say it more finely as well.
  const fine = headerValue(headers, "retry-after-ms");
  if (fine !== undefined && /^\d+(\.\d+)?$/.test(fine)) return Math.min(Number(fine), longest);
  const text = headerValue(headers, "retry-after");
  if (text === undefined || !/^\d+(\.\d+)?$/.test(text)) return undefined;
  return Math.min(Number(text) * 1_000, longest);
}
