/** Headers of a forwarded answer: what the dialect gives, and who answered. */
import type { HeaderList } from "../../core/headers.ts";
import { rulesHeader, type RuleTrace } from "../../core/rule-trace.ts";

/** Who answered. */
export interface AnswerOrigin {
  /** Id of the endpoint. */
  readonly endpoint: string;
  /** Attempts made, this one included. */
  readonly attempts: number;
  /** Name of the model in the pool. */
  readonly model: string;
  /** Time in line and, up to this head, at the server, ms. */
  readonly queueMs: number;
  readonly upstreamMs: number;
  /** What rules did; undefined where none looked at the request. */
  readonly rules: readonly RuleTrace[] | undefined;
}

const text = /^[\x20-\x7e]*$/;

/**
 * Adds `x-spillway-endpoint`, `-model`, `-attempts`, `-rules` where there were any, and `Server-Timing`
 * (https://www.w3.org/TR/server-timing/); leaves out framing, which is the door's.
 */
export function answerHeaders(headers: HeaderList, origin: AnswerOrigin): HeaderList {
  const all: (readonly [string, string])[] = [];
  for (const header of headers) if (!isFraming(header[0])) all.push(header);
  const { endpoint, attempts, model, queueMs, upstreamMs, rules } = origin;
  all.push(
    ["x-spillway-endpoint", headerText(endpoint)],
    ["x-spillway-model", headerText(model)],
    ["x-spillway-attempts", attempts === 1 ? "1" : String(attempts)],
    ["server-timing", `queue;dur=${rounded(queueMs)}, upstream;dur=${rounded(upstreamMs)}`],
  );
  if (rules !== undefined) all.push(rulesHeader(rules));
  return all;
}

/** Names and how they go into a header. Endpoints and models are few; a bound, since names of models may be asked for at will. */
const knownTexts = new Map<string, string>();
const maxKnownTexts = 1_024;

/** Names may hold anything: what a header cannot carry is percent-encoded. */
function headerText(name: string): string {
  const known = knownTexts.get(name);
  if (known !== undefined) return known;
  const written = text.test(name) ? name : encodeURI(name.toWellFormed());
  if (knownTexts.size < maxKnownTexts) knownTexts.set(name, written);
  return written;
}

/** To a hundredth. */
function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}

function isFraming(name: string): boolean {
  switch (name) {
    case "connection":
    case "content-length":
    case "keep-alive":
    case "proxy-connection":
    case "te":
    case "trailer":
    case "transfer-encoding":
    case "upgrade":
      return true;
    default:
      return false;
  }
}
