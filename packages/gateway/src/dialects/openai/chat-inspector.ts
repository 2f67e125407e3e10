/** What the events of chat and completion streams mean, told without parsing them. */
import { failure, type Failure } from "../../core/errors.ts";
import type { TokenUsage } from "../../core/forward.ts";
import { asBuffer } from "../json/parse-json.ts";
import type { Frame } from "../streams/frame.ts";
import { endOfValue } from "../json/member-spans.ts";
import { KeyFinder, readCount, skipBlanks } from "../streams/key-finder.ts";
import { frameMarks, type ByteRange, type FrameInspector } from "../streams/stream-relay.ts";
import { readOpenAiError } from "./openai-errors.ts";

const names = [
  "content",
  "text",
  "reasoning_content",
  "reasoning",
  "refusal",
  "arguments",
  "tool_calls",
  "function_call",
  "audio",
  "choices",
  "usage",
  "error",
  "prompt_tokens",
  "completion_tokens",
  "cached_tokens",
] as const;

/** One for all streams: an event is looked at without a pause. */
const finder = new KeyFinder(names);

const quote = 0x22;
const comma = 0x2c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/** Looks at the events of one stream of `/v1/chat/completions` or `/v1/completions`. */
export class ChatInspector implements FrameInspector {
  failure: Failure | undefined;
  usage: TokenUsage | undefined;
  contentBytes = 0;
  trimmed: ByteRange = { start: 0, end: 0 };
  readonly #hidesUsage: boolean;
  #hasContent = false;
  #hasUsage = false;
  /** Where its value stands in the event. */
  #usageAt = 0;
  #hasNoChoices = false;
  #mayBeError = false;
  #promptTokens = 0;
  #completionTokens = 0;
  #cachedTokens = 0;

  /** `hidesUsage`: the gateway asked for the event that tells usage and the caller did not. */
  constructor(hidesUsage: boolean) {
    this.#hidesUsage = hidesUsage;
  }

  inspect({ bytes, data, dataStart, dataEnd }: Frame): number {
    if (isDone(data, dataStart, dataEnd)) return frameMarks.last;
    if (data[dataStart] !== openBrace || data[dataEnd - 1] !== closeBrace) return this.#malformed();
    this.#hasContent = this.#hasUsage = this.#hasNoChoices = this.#mayBeError = false;
    finder.begin(data, dataStart, dataEnd);
    for (let key = finder.next(); key >= 0; key = finder.next()) this.#member(names[key], data, dataEnd);
    if (this.#mayBeError && this.#isError(data, dataStart, dataEnd)) return frameMarks.failed;
    if (this.#hasUsage) this.#tell();
    const marks = this.#hasContent ? frameMarks.content : 0;
    if (!this.#hidesUsage || !this.#hasUsage) return marks;
    if (this.#hasNoChoices) return frameMarks.hidden;
    if (data !== bytes) return marks;
    this.trimmed = memberAt(data, this.#usageAt, dataEnd);
    return marks | frameMarks.trimmed;
  }

  #member(name: (typeof names)[number] | undefined, data: Uint8Array, end: number): void {
    const at = finder.valueAt;
    const first = data[at];
    switch (name) {
      case "choices":
        this.#hasNoChoices = first === openBracket && data[skipBlanks(data, at + 1, end)] === closeBracket;
        return;
      case "tool_calls":
        if (first === openBracket && data[skipBlanks(data, at + 1, end)] !== closeBracket)
          this.#hasContent = true;
        return;
      case "function_call":
      case "audio":
        if (first === openBrace) this.#hasContent = true;
        return;
      case "usage":
        if (first !== openBrace) return;
        this.#hasUsage = true;
        this.#usageAt = at;
        return;
      case "error":
        if (first === openBrace || first === quote) this.#mayBeError = true;
        return;
      case "prompt_tokens":
        this.#promptTokens = readCount(data, at);
        return;
      case "completion_tokens":
        this.#completionTokens = readCount(data, at);
        return;
      case "cached_tokens":
        this.#cachedTokens = readCount(data, at);
        return;
      default:
        if (first === quote) this.#text(finder.skipString());
    }
  }

  #text(bytes: number): void {
    if (bytes === 0) return;
    this.contentBytes += bytes;
    this.#hasContent = true;
  }

  /** Ollama's completions say nothing but zeros beside each piece of text when they are asked for usage. */
  #tell(): void {
    if (!this.#hasNoChoices && this.#promptTokens === 0 && this.#completionTokens === 0) return;
    this.usage = {
      promptTokens: this.#promptTokens,
      cachedTokens: this.#cachedTokens,
      completionTokens: this.#completionTokens,
      estimated: false,
    };
  }

  /** The name may stand elsewhere, for example in Azure's `content_filter_results`: the event is parsed. */
  #isError(data: Uint8Array, start: number, end: number): boolean {
    const told = readStreamError(asBuffer(data).toString("utf8", start, end));
    if (told === undefined) return false;
    this.failure = told;
    return true;
  }

  #malformed(): number {
    this.failure = malformedEvent();
    return frameMarks.failed | frameMarks.hidden;
  }
}

/** The member whose value begins at `at`, with one of the commas beside it. */
function memberAt(data: Uint8Array, at: number, dataEnd: number): ByteRange {
  let start = at - 1;
  // Back over the colon, the name's last quote, the name.
  while (data[start] !== quote) start--;
  start--;
  while (data[start] !== quote) start--;
  const end = endOfValue(data, at, dataEnd);
  let before = start - 1;
  while (isBlank(data[before])) before--;
  if (data[before] === comma) return { start: before, end };
  const behind = skipBlanks(data, end, dataEnd);
  return { start, end: data[behind] === comma ? behind + 1 : end };
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** True for `[DONE]`. */
export function isDone(data: Uint8Array, start: number, end: number): boolean {
  return (
    end - start === 6 &&
    data[start] === openBracket &&
    data[start + 1] === 0x44 &&
    data[start + 2] === 0x4f &&
    data[start + 3] === 0x4e &&
    data[start + 4] === 0x45 &&
    data[start + 5] === closeBracket
  );
}

/** The error that an event tells, at its top or in its first choice; undefined for another event. */
function readStreamError(text: string): Failure | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return malformedEvent();
  }
  return toldError(value);
}

/** The same for an event that is parsed. */
export function toldError(value: unknown): Failure | undefined {
  const { error, choices } = value as { readonly error?: unknown; readonly choices?: unknown };
  const first = (Array.isArray(choices) ? choices[0] : undefined) as { readonly error?: unknown } | undefined;
  const told = error ?? first?.error ?? undefined;
  if (told === undefined) return undefined;
  return failure("model_failed", readOpenAiError({ error: told }) ?? "The server sent an error");
}

/** The data of an event is no JSON object. */
export function malformedEvent(): Failure {
  return failure("bad_upstream_answer", "The server sent an event that cannot be read");
}
