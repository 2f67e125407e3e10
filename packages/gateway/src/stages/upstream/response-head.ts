/** The head of an HTTP/1.1 answer (RFC 9112): status, headers, and how long its body is. */
import type { HeaderMap } from "../../core/headers.ts";

/** A head that was understood. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: HeaderMap;
  readonly framing: Framing;
  /** False where the server closes the connection after this answer. */
  readonly keepsAlive: boolean;
  /** How long the server keeps an idle connection, ms; undefined where it does not say. */
  readonly keepAliveMs: number | undefined;
}

/** Where a body ends: after so many bytes, after its last chunk, or with the connection. */
export type Framing = number | "chunked" | "until-close";

/** What is to be told of a head that was not understood. */
export type HeadProblem = string;

/** While it is read. */
interface Draft {
  readonly headers: Record<string, string | string[]>;
  length: number;
  isChunked: boolean;
  isEncoded: boolean;
  closes: boolean;
  persists: boolean;
  keepAliveMs: number | undefined;
  problem: HeadProblem | undefined;
}

/** Control characters, and a carriage return that ends no line. */
const forbidden = /[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n)/;
const token = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** Names as they were sent, and in lower case: servers use few. A bound, since anything may answer. */
const knownNames = new Map<string, string>();
const maxKnownNames = 256;

/** Heads read last, of all connections, and their texts: within a second a server says the same again, word for word. */
const lastTexts: string[] = ["", "", "", "", "", "", "", ""];
const lastHeads: (ResponseHead | undefined)[] = lastTexts.map(() => undefined);
let oldest = 0;

/** Longer texts are not kept. */
const longestKept = 1_024;

/** Reads the text up to, and without, the empty line. Who gets the head shares it: it is not to be changed. */
export function readResponseHead(text: string): ResponseHead | HeadProblem {
  for (let i = 0; i < lastTexts.length; i++) {
    const known = lastTexts[i] === text ? lastHeads[i] : undefined;
    if (known !== undefined) return known;
  }
  const head = readHead(text);
  if (typeof head === "string" || text.length > longestKept) return head;
  lastTexts[oldest] = text;
  lastHeads[oldest] = head;
  oldest = (oldest + 1) % lastTexts.length;
  return head;
}

function readHead(text: string): ResponseHead | HeadProblem {
  const status = readStatus(text);
  if (status < 0 || forbidden.test(text)) return "the server sent what is no HTTP head";
  const draft: Draft = {
    headers: Object.create(null) as Draft["headers"],
    length: -1,
    isChunked: false,
    isEncoded: false,
    closes: false,
    persists: false,
    keepAliveMs: undefined,
    problem: undefined,
  };
  readLines(text, draft);
  if (draft.problem !== undefined) return draft.problem;
  if (draft.length >= 0 && (draft.isChunked || draft.isEncoded)) return "the answer has two lengths";
  const isOld = text.charCodeAt(7) === 0x30;
  return {
    status,
    headers: draft.headers,
    framing: draft.isChunked ? "chunked" : draft.length >= 0 ? draft.length : "until-close",
    keepsAlive: !draft.closes && (!isOld || draft.persists),
    keepAliveMs: draft.keepAliveMs,
  };
}

/** -1 for what is no status line of HTTP/1. */
function readStatus(text: string): number {
  const version = text.charCodeAt(7);
  if (!text.startsWith("HTTP/1.") || (version !== 0x31 && version !== 0x30)) return -1;
  const after = text.charCodeAt(12);
  const ends = text.length === 12 || after === 0x20 || after === 0x0d;
  if (text.charCodeAt(8) !== 0x20 || !ends) return -1;
  const status = digitAt(text, 9) * 100 + digitAt(text, 10) * 10 + digitAt(text, 11);
  return status >= 100 ? status : -1;
}

/** Far below any status where there is no digit. */
function digitAt(text: string, at: number): number {
  const digit = text.charCodeAt(at) - 0x30;
  return digit >= 0 && digit <= 9 ? digit : -1_000;
}

/** Each line ends with both characters; the text has no carriage return elsewhere. */
function readLines(text: string, draft: Draft): void {
  const end = text.length;
  for (let at = text.indexOf("\n"); at >= 0 && draft.problem === undefined;) {
    if (text.charCodeAt(at - 1) !== 0x0d) {
      draft.problem = "a line of the head ends wrongly";
      return;
    }
    const start = at + 1;
    at = text.indexOf("\n", start);
    const stop = at < 0 ? end : at - 1;
    const colon = text.indexOf(":", start);
    if (colon <= start || colon >= stop) draft.problem = "a line of the head has no name";
    else readField(draft, text.slice(start, colon), trimmed(text, colon + 1, stop));
  }
}

function readField(draft: Draft, sent: string, value: string): void {
  const name = knownNames.get(sent) ?? learnName(sent);
  if (name === undefined) draft.problem = "a header has an impossible name";
  else add(draft, name, value);
}

function learnName(sent: string): string | undefined {
  const name = sent.toLowerCase();
  if (!token.test(name)) return undefined;
  if (knownNames.size < maxKnownNames) knownNames.set(sent, name);
  return name;
}

function add(draft: Draft, name: string, value: string): void {
  const { headers } = draft;
  const before = headers[name];
  if (before === undefined) headers[name] = value;
  else if (typeof before === "string") headers[name] = [before, value];
  else before.push(value);
  switch (name) {
    case "content-length":
      return readLength(draft, value);
    case "transfer-encoding":
      return readEncodings(draft, value);
    case "connection":
      return readConnection(draft, value);
    case "keep-alive": {
      const seconds = keepAliveSeconds.exec(value)?.[1];
      if (seconds !== undefined) draft.keepAliveMs = Number(seconds) * 1_000;
    }
  }
}

const keepAliveSeconds = /(?:^|[\s,;])timeout=(\d{1,9})/i;

function readLength(draft: Draft, value: string): void {
  const length = /^\d{1,15}$/.test(value) ? Number(value) : -1;
  if (length < 0 || (draft.length >= 0 && draft.length !== length))
    draft.problem = "the answer's length is no number";
  draft.length = length;
}

/** A body is in chunks where that is its last encoding; else it ends with the connection (RFC 9112, 6.3). */
function readEncodings(draft: Draft, value: string): void {
  draft.isEncoded = true;
  draft.isChunked = value.toLowerCase().split(",").at(-1)?.trim() === "chunked";
}

function readConnection(draft: Draft, value: string): void {
  if (value === "keep-alive") {
    draft.persists = true;
    return;
  }
  for (const option of value.toLowerCase().split(",")) {
    if (option.trim() === "close") draft.closes = true;
    else if (option.trim() === "keep-alive") draft.persists = true;
  }
}

/** Without the spaces and tabs around it. */
function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
