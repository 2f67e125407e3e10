/** Priority and timeout of v2 requests, in Spillway's terms. */
import type { InferParameters } from "./infer-body.ts";

/** Triton counts levels from 1, the most urgent, and each model sets its normal one; Spillway's normal stands at this level. */
const normalLevel = 8;

/** Spillway's priority for a level: 1 becomes 7, 8 becomes 0, beyond it falls below normal. 0 means none given. */
export function priorityOf(level: number): number {
  return level === 0 ? 0 : normalLevel - level;
}

/** A request's `timeout` in microseconds may shorten the server's time, never extend it. 0 means none given. */
export function timeoutMsOf(
  { timeoutUs }: InferParameters,
  ...allowedMs: readonly (number | undefined)[]
): number {
  let timeoutMs = timeoutUs === 0 ? Infinity : timeoutUs / 1000;
  for (const allowed of allowedMs) if (allowed !== undefined && allowed < timeoutMs) timeoutMs = allowed;
  return timeoutMs;
}
