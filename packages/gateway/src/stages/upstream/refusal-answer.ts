/** What a caller is told where the server's refusal is the last word. */
import type { HeaderList } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";
import type { AttemptEnd } from "./attempt-end.ts";
import type { ForwardAttempt } from "./forward-attempt.ts";

/** The refusal in the caller's dialect; undefined where there is none that the caller may see. */
export function refusalAnswer(attempt: ForwardAttempt, end: AttemptEnd): WireAnswer | undefined {
  const { refused } = end;
  if (refused === undefined || hidesCredentials(refused.status)) return undefined;
  const answer = attempt.writeRefusal(refused);
  return answer === undefined ? undefined : { ...answer, headers: withRetryAfter(answer.headers, end) };
}

/** The server's refusal is of the pool's credentials, which are none of the caller's business. */
function hidesCredentials(status: number): boolean {
  return status === 401 || status === 403;
}

/** 429 and 503 tell when to come back, also where the server did not. */
function withRetryAfter(headers: HeaderList, { refused, retryAfterMs = 1_000 }: AttemptEnd): HeaderList {
  if (refused?.status !== 429 && refused?.status !== 503) return headers;
  if (headers.some(([name]) => name === "retry-after")) return headers;
  return [...headers, ["retry-after", String(Math.ceil(retryAfterMs / 1_000))]];
}
