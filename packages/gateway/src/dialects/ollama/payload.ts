/** Calls of Ollama's API on their way to servers: as bytes to Ollama's, translated to the others. */
import type { Cancellation } from "../../core/cancellation.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type {
  AnswerReader,
  AnswerSink,
  Attempt,
  AttemptTarget,
  ForwardPayload,
  Operation,
  PromptEdit,
  PromptReading,
  TokenEstimate,
  TokenUsage,
} from "../../core/forward.ts";
import type { AnswerContext } from "../chat/codec.ts";
import { passRefusal } from "../chat/refusal.ts";
import { notOffered, type Translator } from "../chat/translation.ts";
import { editBody, type Edit, type EditedBody } from "../json/replace-span.ts";
import { EditablePrompt } from "../prompt/editable-prompt.ts";
import { promptShapes, type PromptShape } from "../prompt/prompt-shape.ts";
import { renamed } from "../streams/renamed-answer.ts";
import { StreamRelay } from "../streams/stream-relay.ts";
import { WholeRelay } from "../streams/whole-relay.ts";
import { nameAt } from "../../core/model-name.ts";
import { promptPartsOf, type OllamaEnvelope } from "./read-envelope.ts";
import { OllamaInspector, ollamaStream, readWholeUsage } from "./relay.ts";
import { writeOllamaRefusal } from "./write-answer.ts";
import { ollamaHeaders } from "./write-chat-request.ts";

/** What one call's payload is made from. */
export interface OllamaPayloadParts {
  readonly operation: Operation;
  /** The address, with a leading slash. */
  readonly path: string;
  readonly body: Uint8Array;
  readonly envelope: OllamaEnvelope;
  /** Undefined for a call that other dialects do not have. */
  readonly translate:
    | ((context: Pick<AnswerContext, "estimate" | "model">, sent: EditedBody) => Translator)
    | undefined;
}

const shapes: Readonly<Partial<Record<Operation, PromptShape>>> = {
  chat: promptShapes.ollamaChat,
  generate: promptShapes.ollamaGenerate,
};

const noTokens: TokenUsage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, estimated: false };

/** One call. */
export class OllamaPayload implements ForwardPayload {
  readonly kind = "forward";
  readonly dialect = "ollama";
  /** A call without a prompt loads or unloads a model, which may be done twice. */
  readonly repeatable = true;
  readonly operation: Operation;
  readonly stream: boolean;
  readonly estimate: TokenEstimate;
  readonly #parts: OllamaPayloadParts;
  /** Made when a rule first asks for it. */
  #prompt: EditablePrompt | undefined;
  #translator: Translator | undefined;

  constructor(parts: OllamaPayloadParts, prompt?: EditablePrompt) {
    const { operation, envelope } = parts;
    this.#parts = parts;
    this.#prompt = prompt;
    this.operation = operation;
    this.estimate = prompt === undefined ? envelope.estimate : prompt.estimate(envelope.estimate);
    this.stream = envelope.stream && !envelope.isLoad && (operation === "chat" || operation === "generate");
  }

  get bytes(): number {
    return this.#parts.body.length;
  }

  promptParts(): readonly Uint8Array[] {
    const { operation } = this;
    const { envelope } = this.#parts;
    if (envelope.isLoad || (operation !== "chat" && operation !== "generate")) return [];
    const parts = promptPartsOf(envelope, operation === "chat" ? "messages" : "prompt");
    return this.#prompt?.partsOf(parts) ?? parts;
  }

  readPrompt(): PromptReading | Failure | undefined | Promise<PromptReading | Failure> {
    return this.#editable()?.read();
  }

  /** A call that only loads a model stays one. */
  edited(edit: PromptEdit): ForwardPayload | Failure {
    if (this.#parts.envelope.isLoad) return this;
    const prompt = this.#editable()?.edited(edit);
    if (prompt === undefined) return failure("bad_request", `${this.operation} has no prompt`);
    return isFailure(prompt) ? prompt : new OllamaPayload(this.#parts, prompt);
  }

  #editable(): EditablePrompt | undefined {
    const shape = shapes[this.operation];
    if (shape === undefined) return undefined;
    return (this.#prompt ??= new EditablePrompt(this.#parts.body, shape));
  }

  prepare(target: AttemptTarget, cancellation: Cancellation): Promise<void> | undefined {
    return target.dialect === "ollama" ? undefined : this.#translated()?.prepare(target, cancellation);
  }

  attempt(target: AttemptTarget, out: AnswerSink): Attempt | Failure {
    if (target.dialect === "ollama") return this.#relay(target, out);
    return this.#translated()?.attempt(target, out) ?? notOffered(this.operation, target);
  }

  #translated(): Translator | undefined {
    const { translate, envelope, body } = this.#parts;
    const known = { estimate: this.estimate, model: envelope.model };
    return (this.#translator ??= translate?.(known, this.#prompt?.body ?? { body }));
  }

  #relay(target: AttemptTarget, out: AnswerSink): Attempt {
    const { path, body, envelope } = this.#parts;
    const model = nameAt(target, envelope.model);
    const edits: Edit[] = [...(this.#prompt?.edits ?? [])];
    if (model !== envelope.model) edits.push({ ...envelope.modelSpan, text: JSON.stringify(model) });
    const sink = renamed(out, { sent: model, told: envelope.model, isStream: this.stream });
    const sent = edits.length === 0 ? { body } : editBody(body, edits);
    return { method: "POST", path, headers: ollamaHeaders, ...sent, reader: this.#reader(sink) };
  }

  #reader(out: AnswerSink): AnswerReader {
    const { estimate } = this;
    const shared = { out, estimate, passedHeaders: [], refused: refuse };
    if (this.stream) {
      return new StreamRelay({ ...shared, words: ollamaStream, inspector: new OllamaInspector() });
    }
    return new WholeRelay({ ...shared, readUsage: (tail, bytes) => this.#usage(tail, bytes) });
  }

  #usage(tail: Uint8Array, answerBytes: number): TokenUsage {
    const { operation, envelope } = this.#parts;
    if (envelope.isLoad || operation === "show") return noTokens;
    const makesTokens = operation === "chat" || operation === "generate";
    return readWholeUsage(tail, makesTokens ? answerBytes : 0, this.estimate);
  }
}

const refuse: AnswerReader["refused"] = (answer) => passRefusal(answer, writeOllamaRefusal);
