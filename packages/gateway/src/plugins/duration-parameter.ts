/** A span of time among a plugin's parameters. */
import { z } from "zod";
import { parseGoDuration } from "../core/go-duration.ts";

/** A Go duration (`50ms`, `1m30s`) that is read into milliseconds. */
export const durationParameter = z.string().transform((text, context) => {
  const ms = parseGoDuration(text);
  if (ms !== undefined && ms >= 0) return ms;
  context.addIssue(`expected a duration such as 50ms or 1m30s, got ${JSON.stringify(text)}`);
  return z.NEVER;
});
