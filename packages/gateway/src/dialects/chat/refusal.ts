/** What a caller gets when a server answers with a status that is no 2xx. */
import type { RefusedAnswer } from "../../core/forward.ts";
import { headerValue } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";

/** Writes a refusal in a caller's dialect. */
export type RefusalWriter = (status: number, message: string) => WireAnswer;

/**
 * What concerns the gateway's own account at the server (credentials, payment) is none of the caller's
 * business: it is a 502 without the server's text, which may repeat part of a key.
 */
const ownStatuses: ReadonlySet<number> = new Set([401, 402, 403, 407]);

/** A refusal for a caller of the server's own dialect: the body as it came, where it is JSON. */
export function passRefusal(answer: RefusedAnswer, write: RefusalWriter): WireAnswer {
  const type = headerValue(answer.headers, "content-type");
  const isJson = type?.toLowerCase().startsWith("application/json") === true && answer.body.length > 0;
  if (!isJson || isOwn(answer.status)) return translateRefusal(answer, undefined, write);
  const headers: [string, string][] = [["content-type", type ?? "application/json"]];
  return withRetryAfter({ status: answer.status, headers, body: [answer.body] }, answer);
}

/** A refusal for a caller of another dialect. `text` is what the server says; undefined where it cannot be read. */
export function translateRefusal(
  answer: RefusedAnswer,
  text: string | undefined,
  write: RefusalWriter,
): WireAnswer {
  const { status } = answer;
  if (ownStatuses.has(status))
    return write(502, `The model server refused the gateway's credentials (${status})`);
  if (status < 400) return write(502, `The model server answered ${status}`);
  return withRetryAfter(write(status, text ?? `The model server answered ${status}`), answer);
}

function isOwn(status: number): boolean {
  return status < 400 || ownStatuses.has(status);
}

function withRetryAfter(refusal: WireAnswer, { headers }: RefusedAnswer): WireAnswer {
  const retryAfter = headerValue(headers, "retry-after");
  if (retryAfter === undefined) return refusal;
  return { ...refusal, headers: [...refusal.headers, ["retry-after", retryAfter]] };
}
