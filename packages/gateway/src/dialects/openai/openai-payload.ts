/** Requests of OpenAI's callers: bytes for servers that speak the same API, translated for others. */
import type { Cancellation } from "../../core/cancellation.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type {
  AnswerSink,
  Attempt,
  AttemptTarget,
  ForwardPayload,
  PromptEdit,
  PromptReading,
  TokenEstimate,
} from "../../core/forward.ts";
import { nameAt } from "../../core/model-name.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { AnswerContext, CallerCodec, ServerCodecs } from "../chat/codec.ts";
import { ChatTranslation, notOffered } from "../chat/translation.ts";
import type { JsonThreads } from "../json/json-threads.ts";
import { EditablePrompt } from "../prompt/editable-prompt.ts";
import { promptShapes, type PromptShape } from "../prompt/prompt-shape.ts";
import { renamed } from "../streams/renamed-answer.ts";
import { openAiPaths, openAiReader, servesBytes, type OpenAiOperation } from "./openai-answers.ts";
import { asksForUsage, bodyFor, promptPartsOf, type OpenAiCall } from "./read-call.ts";

const jsonRequest: HeaderList = [
  ["content-type", "application/json"],
  ["accept", "application/json"],
];
const streamRequest: HeaderList = [
  ["content-type", "application/json"],
  ["accept", "text/event-stream"],
];

/** How a call that its server does not offer is translated. */
export interface OpenAiTranslation {
  readonly caller: CallerCodec;
  readonly servers: ServerCodecs;
  readonly context: AnswerContext;
  readonly threads?: JsonThreads | undefined;
}

/** Embeddings have no prompt. */
const shapes: Readonly<Partial<Record<OpenAiOperation, PromptShape>>> = {
  chat: promptShapes.openaiChat,
  completions: promptShapes.openaiCompletions,
  responses: promptShapes.openaiResponses,
};

/** One request. Without a translation, a server that does not offer the call is a 400. */
export class OpenAiPayload implements ForwardPayload {
  readonly kind = "forward";
  readonly dialect = "openai";
  readonly operation: OpenAiOperation;
  readonly stream: boolean;
  readonly repeatable: boolean;
  readonly estimate: TokenEstimate;
  readonly #call: OpenAiCall;
  readonly #parts: OpenAiTranslation | undefined;
  /** Made when a rule first asks for it. */
  #prompt: EditablePrompt | undefined;
  #translation: ChatTranslation | undefined;

  constructor(
    operation: OpenAiOperation,
    call: OpenAiCall,
    translation: OpenAiTranslation | undefined,
    prompt?: EditablePrompt,
  ) {
    this.operation = operation;
    this.stream = call.stream;
    this.repeatable = call.repeatable;
    this.estimate = prompt === undefined ? call.estimate : prompt.estimate(call.estimate);
    this.#call = call;
    this.#parts = translation;
    this.#prompt = prompt;
  }

  get bytes(): number {
    return this.#call.spans.bytes.length;
  }

  promptParts(): readonly Uint8Array[] {
    const parts = promptPartsOf(this.#call, this.operation);
    return this.#prompt?.partsOf(parts) ?? parts;
  }

  readPrompt(): PromptReading | Failure | undefined | Promise<PromptReading | Failure> {
    return this.#editable()?.read();
  }

  edited(edit: PromptEdit): ForwardPayload | Failure {
    const prompt = this.#editable()?.edited(edit);
    if (prompt === undefined) return failure("bad_request", `${this.operation} has no prompt`);
    return isFailure(prompt) ? prompt : new OpenAiPayload(this.operation, this.#call, this.#parts, prompt);
  }

  #editable(): EditablePrompt | undefined {
    const shape = shapes[this.operation];
    if (shape === undefined) return undefined;
    return (this.#prompt ??= new EditablePrompt(this.#call.spans.bytes, shape));
  }

  prepare(target: AttemptTarget, cancellation: Cancellation): Promise<void> | undefined {
    if (servesBytes(this.operation, target)) return undefined;
    return this.#translated()?.prepare(target, cancellation);
  }

  attempt(target: AttemptTarget, sink: AnswerSink): Attempt | Failure {
    if (servesBytes(this.operation, target)) return this.#relay(target, sink);
    return this.#translated()?.attempt(target, sink) ?? notOffered(this.operation, target);
  }

  #translated(): ChatTranslation | undefined {
    const parts = this.#parts;
    if (parts === undefined) return undefined;
    const sent = this.#prompt?.body ?? { body: this.#call.spans.bytes };
    const context = { ...parts.context, estimate: this.estimate };
    return (this.#translation ??= new ChatTranslation({ ...parts, context, ...sent }));
  }

  #relay(target: AttemptTarget, out: AnswerSink): Attempt {
    const call = this.#call;
    const addsUsage = this.stream && this.operation !== "responses" && !asksForUsage(call);
    const name = nameAt(target, call.model);
    const model = name === call.model ? undefined : name;
    const sink = renamed(out, { sent: name, told: call.model, isStream: this.stream });
    return {
      method: "POST",
      path: openAiPaths[this.operation],
      headers: this.stream ? streamRequest : jsonRequest,
      ...bodyFor(call, { model, addsUsage, prompt: this.#prompt?.edits }),
      reader: openAiReader(this.operation, {
        out: sink,
        estimate: this.estimate,
        isStream: this.stream,
        hidesUsage: addsUsage,
      }),
    };
  }
}
