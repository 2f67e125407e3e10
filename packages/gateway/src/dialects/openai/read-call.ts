/** What the gateway needs of a body for OpenAI's addresses, found in one pass that leaves the bytes as they are. */
import { isFailure, type Failure } from "../../core/errors.ts";
import type { Operation, TokenEstimate } from "../../core/forward.ts";
import { wrongField } from "../chat/cannot-carry.ts";
import { isJsonObject } from "../chat/json-object.ts";
import { defaultJsonLimits, scanJson } from "../json/scan-json.ts";
import { asBuffer } from "../json/parse-json.ts";
import { MemberFinder, type MemberSpans } from "../json/member-spans.ts";
import { editBody, type Edit, type EditedBody } from "../json/replace-span.ts";
import { lookedAtInATurn } from "../json/value-end.ts";
import { ValueBytes, type Attachments } from "../json/value-bytes.ts";
import { promptParts } from "../prompt/prompt-parts.ts";
import { estimatePrompt } from "../streams/estimate-tokens.ts";

const names = [
  "model",
  "stream",
  "stream_options",
  "max_completion_tokens",
  "max_tokens",
  "max_output_tokens",
  "store",
  "background",
  "conversation",
  "previous_response_id",
  "cache_salt",
  "instructions",
  "tools",
  "messages",
  "prompt",
  "input",
] as const;

const index = (name: (typeof names)[number]): number => names.indexOf(name);
const model = index("model");
const stream = index("stream");
const streamOptions = index("stream_options");
const limits = [index("max_completion_tokens"), index("max_tokens"), index("max_output_tokens")];
const store = index("store");
const kept = [index("background"), index("conversation"), index("previous_response_id")];

const salt = index("cache_salt");
const tools = index("tools");
/** Embeddings leave nothing in a prefix cache. */
const promptMembers: Readonly<Partial<Record<Operation, readonly number[]>>> = {
  chat: [salt, tools, index("messages")],
  completions: [salt, index("prompt")],
  responses: [salt, tools, index("instructions"), index("input")],
};

const finder = new MemberFinder(names);

/** Pictures of chats and of responses, and files. */
const dataUrls = new ValueBytes({ url: "data:", image_url: "data:", file_data: "data:" });
/** Bytes: a text would be turned into them at each search. */
const dataUrlBegins = Buffer.from('"data:');
const none: Attachments = { count: 0, bytes: 0 };

/** Most bodies have none, which a search for the one string tells sooner than one for the names. */
function hasDataUrl(body: Uint8Array): boolean {
  return asBuffer(body).includes(dataUrlBegins);
}

/** A caller's request. */
export interface OpenAiCall {
  readonly model: string;
  readonly stream: boolean;
  readonly repeatable: boolean;
  readonly estimate: TokenEstimate;
  readonly spans: MemberSpans;
}

/** Reads a body. Failures are `invalid_json` and 400s that name the field. */
export function readOpenAiCall(body: Uint8Array, operation: Operation): OpenAiCall | Failure {
  const spans = finder.find(body);
  return isFailure(spans) ? spans : callOf(spans, operation, hasDataUrl(body) ? dataUrls.of(body) : none);
}

/** The same for a large body, which gives the event loop a turn again and again. */
export function* readOpenAiCallInTurns(
  body: Uint8Array,
  operation: Operation,
): Generator<void, OpenAiCall | Failure> {
  const spans = yield* finder.findInTurns(body);
  if (isFailure(spans)) return spans;
  for (let from = 0; from < body.length; from += lookedAtInATurn) {
    if (hasDataUrl(body.subarray(from, from + lookedAtInATurn + dataUrlBegins.length))) {
      return callOf(spans, operation, yield* dataUrls.inTurns(body));
    }
    yield;
  }
  return callOf(spans, operation, none);
}

function callOf(spans: MemberSpans, operation: Operation, attachments: Attachments): OpenAiCall | Failure {
  const name = spans.value(model);
  if (typeof name !== "string" || name === "") return wrongField("model", "the name of a model");
  const isStream = spans.is(stream, "true");
  if (!isStream && !isUnset(spans, stream)) return wrongField("stream", "true or false");
  return {
    model: name,
    stream: isStream && operation !== "embeddings",
    repeatable: isRepeatable(spans, operation),
    estimate: {
      promptTokens: estimatePrompt(spans.bytes.length, attachments),
      maxCompletionTokens: maxTokens(spans),
    },
    spans,
  };
}

function maxTokens(spans: MemberSpans): number | undefined {
  for (const limit of limits) {
    const value = spans.value(limit);
    if (typeof value === "number") return value;
  }
  return undefined;
}

/** OpenAI keeps responses unless told not to, and chats only when told to. */
function isRepeatable(spans: MemberSpans, operation: Operation): boolean {
  if (operation !== "responses") return !spans.is(store, "true");
  return spans.is(store, "false") && kept.every((each) => isUnset(spans, each));
}

function isUnset(spans: MemberSpans, at: number): boolean {
  return spans.start(at) < 0 || spans.is(at, "null") || spans.is(at, "false");
}

/** As `ForwardPayload.promptParts`. */
export function promptPartsOf({ spans }: OpenAiCall, operation: Operation): readonly Uint8Array[] {
  return promptParts(spans, promptMembers[operation] ?? []);
}

/** Whether the caller asked for the event that tells usage. */
export function asksForUsage({ spans }: OpenAiCall): boolean {
  const options = spans.value(streamOptions);
  return isJsonObject(options) && options["include_usage"] === true;
}

/** What is to be changed in a body. */
export interface BodyChanges {
  /** The model's name on the server; undefined: as it stands. */
  readonly model: string | undefined;
  /** Ask for the event that tells usage. */
  readonly addsUsage: boolean;
  /** Changes of the prompt. */
  readonly prompt?: readonly Edit[] | undefined;
}

/** The body as it goes to a server: the caller's bytes where nothing is to be changed. */
export function bodyFor(
  { spans }: OpenAiCall,
  { model: renamed, addsUsage, prompt = [] }: BodyChanges,
): EditedBody {
  const edits: Edit[] = [...prompt];
  if (renamed !== undefined) edits.push(replace(spans, model, JSON.stringify(renamed)));
  if (addsUsage) edits.push(usageEdit(spans));
  return edits.length === 0 ? { body: spans.bytes } : editBody(spans.bytes, edits);
}

function replace(spans: MemberSpans, at: number, text: string): Edit {
  return { start: spans.start(at), end: spans.end(at), text };
}

/** In front of all members where the caller gives no options: the object has a model's name at least. */
function usageEdit(spans: MemberSpans): Edit {
  const options = spans.value(streamOptions);
  const told = spans.bytes.subarray(spans.start(streamOptions), spans.end(streamOptions));
  if (isJsonObject(options) && scanJson(told, defaultJsonLimits) === undefined) {
    return replace(spans, streamOptions, JSON.stringify({ ...options, include_usage: true }));
  }
  if (spans.start(streamOptions) >= 0) return replace(spans, streamOptions, '{"include_usage":true}');
  const brace = spans.bytes.indexOf(0x7b) + 1;
  return { start: brace, end: brace, text: '"stream_options":{"include_usage":true},' };
}
