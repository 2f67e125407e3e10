/** Durations in parameters of plugins. */
import { z } from "zod";
import { parseGoDuration } from "../core/go-duration.ts";

/** A duration as Go writes it (`300s`, `1m30s`, `200ms`), read into milliseconds. */
export const goDuration = z.string().transform((text, context) => {
  const ms = parseGoDuration(text);
  if (ms !== undefined && ms >= 0) return ms;
  context.addIssue(`expected a duration such as 300s or 1m30s, got ${JSON.stringify(text)}`);
  return z.NEVER;
});
