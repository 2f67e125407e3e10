/** What the gateway needs to know of a caller's body to send it on: found without parsing it. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { TokenEstimate } from "../../core/forward.ts";
import { wrongField } from "../chat/cannot-carry.ts";
import { isJsonObject } from "../chat/json-object.ts";
import { MemberFinder, type MemberSpans } from "../json/member-spans.ts";
import { ValueBytes, type Attachments } from "../json/value-bytes.ts";
import { promptParts } from "../prompt/prompt-parts.ts";
import { estimatePrompt } from "../streams/estimate-tokens.ts";
import { skipBlanks } from "../streams/key-finder.ts";

/** A body that is passed on as it is. */
export interface OllamaEnvelope {
  readonly model: string;
  /** Where the model's name stands in the body. */
  readonly modelSpan: { readonly start: number; readonly end: number };
  readonly stream: boolean;
  /** Without a prompt: the model is to be loaded, or unloaded, and nothing else. */
  readonly isLoad: boolean;
  readonly estimate: TokenEstimate;
  readonly spans: MemberSpans;
}

/** Which member holds what the model is asked; undefined: the call asks nothing of the model. */
export type PromptMember = "messages" | "prompt" | "input" | undefined;

const names = [
  "model",
  "name",
  "stream",
  "options",
  "messages",
  "prompt",
  "input",
  "tools",
  "system",
  "template",
] as const;
const finder = new MemberFinder(names);
const images = new ValueBytes({ images: "" });

/** Reads the envelope of a body; a failure (400) that says what is wrong with it. */
export function readEnvelope(body: Uint8Array, prompt: PromptMember): OllamaEnvelope | Failure {
  const spans = finder.find(body);
  return isFailure(spans) ? spans : envelopeOf(spans, prompt, images.of(body));
}

/** The same for a large body, which gives the event loop a turn again and again. */
export function* readEnvelopeInTurns(
  body: Uint8Array,
  prompt: PromptMember,
): Generator<void, OllamaEnvelope | Failure> {
  const spans = yield* finder.findInTurns(body);
  return isFailure(spans) ? spans : envelopeOf(spans, prompt, yield* images.inTurns(body));
}

function envelopeOf(
  spans: MemberSpans,
  prompt: PromptMember,
  pictures: Attachments,
): OllamaEnvelope | Failure {
  // Ollama's own command says "model": "" and the name under the older "name" when it asks to be shown a model.
  const isOlder = isEmpty(spans, names.indexOf("model")) && spans.start(names.indexOf("name")) >= 0;
  const at = names.indexOf(isOlder ? "name" : "model");
  const model = spans.value(at) ?? "";
  if (typeof model !== "string") return wrongField("model", "a string");
  if (model === "") return { ...failure("bad_request", "model is required"), field: "model" };
  const stream = spans.value(names.indexOf("stream")) ?? true;
  if (typeof stream !== "boolean") return wrongField("stream", "true or false");
  const isLoad = prompt !== undefined && isEmpty(spans, names.indexOf(prompt));
  const modelSpan = { start: spans.start(at), end: spans.end(at) };
  return {
    model,
    modelSpan,
    stream,
    isLoad,
    estimate: isLoad ? nothing : estimate(spans, prompt, pictures),
    spans,
  };
}

/** Members that a prefix cache depends on. */
const promptMembers = {
  messages: [names.indexOf("tools"), names.indexOf("messages")],
  prompt: [names.indexOf("template"), names.indexOf("system"), names.indexOf("prompt")],
} as const;

/** As `ForwardPayload.promptParts`, of a call with messages or with a prompt. */
export function promptPartsOf(
  { spans }: OllamaEnvelope,
  prompt: keyof typeof promptMembers,
): readonly Uint8Array[] {
  return promptParts(spans, promptMembers[prompt]);
}

const nothing: TokenEstimate = { promptTokens: 0, maxCompletionTokens: 0 };

/** Absent, null, `""` or `[]`. */
function isEmpty(spans: MemberSpans, index: number): boolean {
  const start = spans.start(index);
  const end = spans.end(index);
  if (start < 0 || spans.bytes[start] === 0x6e) return true;
  const first = spans.bytes[start];
  return (first === 0x22 || first === 0x5b) && skipBlanks(spans.bytes, start + 1, end) === end - 1;
}

function estimate(spans: MemberSpans, prompt: PromptMember, pictures: Attachments): TokenEstimate {
  const promptTokens = prompt === undefined ? 0 : estimatePrompt(spans.bytes.length, pictures);
  if (prompt === "input" || prompt === undefined) return { promptTokens, maxCompletionTokens: 0 };
  const options = spans.value(names.indexOf("options"));
  const limit = isJsonObject(options) ? options["num_predict"] : undefined;
  return { promptTokens, maxCompletionTokens: typeof limit === "number" && limit > 0 ? limit : undefined };
}
