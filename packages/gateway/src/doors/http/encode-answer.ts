/** Compresses large answers for callers that ask for it. */
import { deflate, gzip } from "node:zlib";
import { headerValue, type HeaderMap } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";

/** What an answer can be encoded with. */
export type AnswerEncoding = "gzip" | "deflate";

/** Answers up to this size are sent as they are: compressing them costs more than it saves. */
export const minEncodeBytes = 8_192;

/** Answers compressed at once; more are sent as they are, so that the thread pool stays free for others. */
const maxRunning = 8;
let running = 0;

/**
 * The encoding for an answer, undefined for none. JSON and text are compressed for everyone who
 * accepts it; binary tensors hardly shrink and cost much, so only for a caller that names exactly
 * one encoding, as Triton's client does when told to.
 */
export function answerEncoding(headers: HeaderMap, answer: WireAnswer): AnswerEncoding | undefined {
  const accepted = headerValue(headers, "accept-encoding");
  if (accepted === undefined || running >= maxRunning) return undefined;
  const names = acceptedNames(accepted);
  const wanted = names.find((name) => name === "gzip" || name === "deflate");
  if (wanted === undefined || answerHeader(answer, "content-encoding") !== undefined) return undefined;
  const isText = /^(?:text\/|application\/json)/.test(answerHeader(answer, "content-type") ?? "");
  return isText || names.length === 1 ? wanted : undefined;
}

/** Names in an `Accept-Encoding` header that are not refused by `q=0`. */
function acceptedNames(header: string): string[] {
  const names: string[] = [];
  for (const part of header.toLowerCase().split(",", 16)) {
    const [name = "", ...parameters] = part.split(";").map((text) => text.trim());
    const refused = parameters.some((text) => /^q\s*=\s*0(?:\.0*)?$/.test(text));
    if (name !== "" && !refused) names.push(name);
  }
  return names;
}

function answerHeader(answer: WireAnswer, name: string): string | undefined {
  return answer.headers.find(([each]) => each.toLowerCase() === name)?.[1];
}

/** Compresses in the thread pool. Calls back once, with the answer as it was when that fails. */
export function encodeAnswer(
  answer: WireAnswer,
  encoding: AnswerEncoding,
  done: (encoded: WireAnswer) => void,
): void {
  const [first] = answer.body;
  const whole = answer.body.length === 1 && first !== undefined ? first : Buffer.concat(answer.body);
  const compress = encoding === "gzip" ? gzip : deflate;
  running++;
  compress(whole, { level: 1, chunkSize: 65_536 }, (error, bytes) => {
    running--;
    if (error !== null) return done(answer);
    const headers = [...answer.headers, ["content-encoding", encoding], ["vary", "accept-encoding"]] as const;
    done({ status: answer.status, headers, body: [bytes] });
  });
}
