/** Times as Go writes them, in plugins' parameters. */
import * as z from "zod";
import { parseGoDuration } from "../core/go-duration.ts";

/** `200ms`, `1m30s` or `0`, as milliseconds. */
export const goDuration = z.string().transform((text, context) => {
  const ms = parseGoDuration(text);
  if (ms !== undefined) return ms;
  context.issues.push({ code: "custom", message: "must be a time such as 200ms or 1m30s", input: text });
  return z.NEVER;
});
