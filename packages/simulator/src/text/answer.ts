/** What a model is going to say, decided before it starts: parts, their tokens, and why it stops. */
import { createRandom, hashText } from "../random.ts";
import { sampleOf } from "./sample.ts";
import type { Schema } from "./sample.ts";
import { textOf, wordAt } from "./words.ts";
import type { Alphabet } from "./words.ts";

/** A function the model may call. */
export interface Tool {
  readonly name: string;
  readonly parameters: Schema;
}

/** A call the model makes. */
export interface ToolCall {
  readonly name: string;
  /** JSON. */
  readonly arguments: string;
}

/** A run of tokens of one kind. */
export interface AnswerPart {
  readonly kind: "thinking" | "text" | "tool";
  /** Place of its first token in the answer. */
  readonly start: number;
  /** Place after its last token. */
  readonly end: number;
  /** The text of a token, by its place in the part. */
  piece: (index: number) => string;
  /** The call and its place among the calls, of a tool part. */
  readonly call?: ToolCall;
  readonly callIndex: number;
}

/** Why a model stops: it was done, it met a stop string, its tokens were used up, or it wants a tool's answer. */
export type FinishReason = "stop" | "length" | "tool_calls";

/** A whole answer. */
export interface Answer {
  readonly parts: readonly AnswerPart[];
  /** Tokens in all, at least 1. */
  readonly tokens: number;
  readonly finish: FinishReason;
  /** The stop string that ended it. */
  readonly stopString?: string;
}

/** What a test or a header can ask the model to say. */
export interface AnswerWish {
  /** Tokens of text before it stops by itself. */
  readonly outputTokens?: number;
  /** Tokens of thinking. */
  readonly thinkingTokens?: number;
  /** Says exactly this. */
  readonly text?: string;
  /** Calls exactly these; an empty list: none. */
  readonly toolCalls?: readonly { readonly name: string; readonly arguments?: unknown }[];
}

/** What the answer depends on. */
export interface AnswerRequest {
  readonly seed: number;
  readonly prompt: string;
  readonly maxTokens: number | undefined;
  readonly stop: readonly string[];
  /** Whether to go on to `maxTokens` whatever the model would do. */
  readonly ignoreEnd: boolean;
  readonly thinking: boolean;
  readonly tools: readonly Tool[];
  /** `auto` calls a tool when the user spoke last. */
  readonly toolChoice: "auto" | "none" | "required" | { readonly name: string };
  readonly userSpokeLast: boolean;
  /** Structured output: true is any JSON object. */
  readonly schema: Schema | undefined;
  readonly wish: AnswerWish;
  readonly alphabet: Alphabet;
  /** Tokens the model says by itself. */
  readonly length: { readonly mean: number; readonly deviation: number };
}

/** Decides an answer. The same request and seed give the same answer. */
export function planAnswer(request: AnswerRequest): Answer {
  const seed = (hashText(request.prompt) ^ request.seed) >>> 0;
  const drafts: Draft[] = [];
  if (request.thinking)
    drafts.push(numbered("thinking", request.wish.thinkingTokens ?? 8, seed + 1, request));
  const calls = callsOf(request, seed);
  if (calls.length > 0) for (const call of calls) drafts.push({ ...spoken("tool", call.arguments), call });
  else drafts.push(mainText(request, seed));
  return cut(drafts, request, calls.length > 0 ? "tool_calls" : "stop");
}

/** All text of one kind. */
export function answerText(answer: Answer, kind: AnswerPart["kind"]): string {
  let text = "";
  for (const part of answer.parts) if (part.kind === kind) text += partText(part);
  return text;
}

/** The text of a part. */
export function partText(part: AnswerPart): string {
  let text = "";
  for (let at = 0; at < part.end - part.start; at++) text += part.piece(at);
  return text;
}

/** The calls of an answer; the last one's arguments are cut short when its tokens were used up. */
export function answerCalls(answer: Answer): ToolCall[] {
  return answer.parts.flatMap((part) =>
    part.call === undefined ? [] : { name: part.call.name, arguments: partText(part) },
  );
}

interface Draft {
  kind: AnswerPart["kind"];
  tokens: number;
  piece: (index: number) => string;
  call?: ToolCall;
  stopString?: string;
}

function numbered(kind: Draft["kind"], tokens: number, seed: number, { alphabet }: AnswerRequest): Draft {
  const piece = (index: number): string => wordAt(index, seed, alphabet);
  return { kind, tokens: Math.max(1, tokens), piece };
}

/** Text given as a whole, told in pieces of about four characters that never part a character. */
function spoken(kind: Draft["kind"], text: string): Draft {
  const pieces = text.match(/.{1,4}/gsu) ?? [""];
  const piece = (index: number): string => pieces[index] ?? "";
  return { kind, tokens: pieces.length, piece };
}

function mainText(request: AnswerRequest, seed: number): Draft {
  const { wish, schema } = request;
  if (wish.text !== undefined) return stopAt(spoken("text", wish.text), request);
  if (schema !== undefined) {
    const value = schema === true ? { answer: textOf(3, seed) } : sampleOf(schema, createRandom(seed));
    return spoken("text", JSON.stringify(value));
  }
  const tokens =
    request.ignoreEnd && request.maxTokens !== undefined ? request.maxTokens : ownLength(request, seed);
  return stopAt(numbered("text", tokens, seed, request), request);
}

/** Lengths are log-normal around the mean, as answers of chat models roughly are. */
function ownLength({ wish, length }: AnswerRequest, seed: number): number {
  if (wish.outputTokens !== undefined) return wish.outputTokens;
  const variance = Math.log(1 + (length.deviation / length.mean) ** 2);
  const normal = createRandom(seed ^ 0x5bd1e995).normal();
  return Math.max(1, Math.round(length.mean * Math.exp(Math.sqrt(variance) * normal - variance / 2)));
}

function stopAt(draft: Draft, { stop, maxTokens }: AnswerRequest): Draft {
  if (stop.length === 0) return draft;
  let text = "";
  const most = Math.min(draft.tokens, maxTokens ?? draft.tokens);
  for (let at = 0; at < most; at++) {
    text += draft.piece(at);
    const found = stop.find((each) => each !== "" && text.includes(each));
    if (found === undefined) continue;
    const kept = spoken(draft.kind, text.slice(0, text.indexOf(found)));
    return { ...kept, stopString: found };
  }
  return draft;
}

function callsOf(request: AnswerRequest, seed: number): ToolCall[] {
  const { wish, tools, toolChoice } = request;
  if (wish.toolCalls !== undefined)
    return wish.toolCalls.map((call) => ({
      name: call.name,
      arguments: JSON.stringify(call.arguments ?? {}),
    }));
  if (toolChoice === "none" || tools.length === 0 || wish.text !== undefined) return [];
  if (toolChoice === "auto" && !request.userSpokeLast) return [];
  const named =
    typeof toolChoice === "object" ? tools.find(({ name }) => name === toolChoice.name) : tools[0];
  if (named === undefined) return [];
  return [
    { name: named.name, arguments: JSON.stringify(sampleOf(named.parameters, createRandom(seed)) ?? {}) },
  ];
}

function cut(
  drafts: readonly Draft[],
  { maxTokens = Infinity, ignoreEnd }: AnswerRequest,
  finish: FinishReason,
): Answer {
  const parts: AnswerPart[] = [];
  let start = 0;
  let callIndex = 0;
  let stopString: string | undefined;
  for (const { kind, tokens, piece, call, stopString: met } of drafts) {
    if (start >= maxTokens) break;
    const end = Math.min(start + tokens, maxTokens);
    parts.push({ kind, start, end, piece, callIndex, ...(call !== undefined && { call }) });
    if (call !== undefined) callIndex += 1;
    if (end === start + tokens) stopString = met;
    start = end;
  }
  const whole = drafts.reduce((sum, { tokens }) => sum + tokens, 0);
  const spent = start < whole || (ignoreEnd && start === maxTokens);
  return {
    parts,
    tokens: Math.max(1, start),
    finish: spent ? "length" : finish,
    ...(stopString !== undefined && !spent && { stopString }),
  };
}
