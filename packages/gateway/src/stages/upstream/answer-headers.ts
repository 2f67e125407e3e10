/** Headers of a forwarded answer: what the dialect gives, and who answered. */
import type { HeaderList } from "../../core/headers.ts";

/** Who answered. */
export interface AnswerOrigin {
  /** Id of the endpoint. */
  readonly endpoint: string;
  /** Attempts made, this one included. */
  readonly attempts: number;
}

const text = /^[\x20-\x7e]*$/;

/** Adds `x-spillway-endpoint` and `x-spillway-attempts`; leaves out framing, which is the door's. */
export function answerHeaders(headers: HeaderList, origin: AnswerOrigin): HeaderList {
  const all: (readonly [string, string])[] = [];
  for (const header of headers) if (!isFraming(header[0])) all.push(header);
  const { endpoint, attempts } = origin;
  all.push(["x-spillway-endpoint", text.test(endpoint) ? endpoint : encodeURI(endpoint.toWellFormed())]);
  all.push(["x-spillway-attempts", String(attempts)]);
  return all;
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
