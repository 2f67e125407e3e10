/** Calls of Anthropic's API on their way to servers: as bytes where they are served, else translated. */
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
import { headerValue, type HeaderMap } from "../../core/headers.ts";
import type { ChatTranslation } from "../chat/translation.ts";
import { editBody, type Edit, type EditedBody } from "../json/replace-span.ts";
import { EditablePrompt } from "../prompt/editable-prompt.ts";
import { promptShapes } from "../prompt/prompt-shape.ts";
import { renamed } from "../streams/renamed-answer.ts";
import { messagesReader, type MessagesOperation } from "./messages-answers.ts";
import { promptPartsOf, type MessagesEnvelope } from "./read-envelope.ts";
import { anthropicVersion } from "./write-messages.ts";

/** What one call's payload is made from. */
export interface MessagesPayloadParts {
  readonly operation: MessagesOperation;
  readonly path: string;
  /** Without the `?`. */
  readonly query: string;
  readonly headers: HeaderMap;
  readonly body: Uint8Array;
  readonly envelope: MessagesEnvelope;
  readonly translate: (estimate: TokenEstimate, sent: EditedBody) => ChatTranslation;
}

/** One call. */
export class MessagesPayload implements ForwardPayload {
  readonly kind = "forward";
  readonly dialect = "anthropic";
  readonly repeatable = true;
  readonly operation: MessagesOperation;
  readonly stream: boolean;
  readonly estimate: TokenEstimate;
  readonly #parts: MessagesPayloadParts;
  /** Made when a rule first asks for it. */
  #prompt: EditablePrompt | undefined;
  #translation: ChatTranslation | undefined;

  constructor(parts: MessagesPayloadParts, prompt?: EditablePrompt) {
    const { operation, envelope } = parts;
    this.#parts = parts;
    this.#prompt = prompt;
    this.operation = operation;
    const isCount = operation === "count_tokens";
    this.stream = envelope.stream && !isCount;
    const estimate = prompt === undefined ? envelope.estimate : prompt.estimate(envelope.estimate);
    this.estimate = isCount ? { promptTokens: 0, maxCompletionTokens: 0 } : estimate;
  }

  get bytes(): number {
    return this.#parts.body.length;
  }

  promptParts(): readonly Uint8Array[] {
    if (this.operation === "count_tokens") return [];
    const parts = promptPartsOf(this.#parts.envelope);
    return this.#prompt?.partsOf(parts) ?? parts;
  }

  readPrompt(): PromptReading | Failure | Promise<PromptReading | Failure> {
    return this.#editable().read();
  }

  edited(edit: PromptEdit): ForwardPayload | Failure {
    const prompt = this.#editable().edited(edit);
    return isFailure(prompt) ? prompt : new MessagesPayload(this.#parts, prompt);
  }

  #editable(): EditablePrompt {
    return (this.#prompt ??= new EditablePrompt(this.#parts.body, promptShapes.anthropicMessages));
  }

  prepare(target: AttemptTarget, cancellation: Cancellation): Promise<void> | undefined {
    if (this.#isServed(target) || this.operation === "count_tokens") return undefined;
    return this.#translated().prepare(target, cancellation);
  }

  attempt(target: AttemptTarget, out: AnswerSink): Attempt | Failure {
    const { operation } = this;
    if (this.#isServed(target)) return this.#relay(target, out);
    if (operation === "count_tokens") {
      const text = "model: its server counts no tokens, and an estimate would be no count";
      return { ...failure("bad_request", text), field: "model" };
    }
    return this.#translated().attempt(target, out);
  }

  /** Other servers that have the address go without some words: those are translated. */
  #isServed({ dialect, serves }: AttemptTarget): boolean {
    if (dialect === "anthropic") return true;
    return serves.includes(this.operation) && !(this.#parts.envelope.hasLaterWords && this.#isMessages);
  }

  get #isMessages(): boolean {
    return this.operation === "messages";
  }

  #translated(): ChatTranslation {
    const { body, translate } = this.#parts;
    return (this.#translation ??= translate(this.estimate, this.#prompt?.body ?? { body }));
  }

  #relay(target: AttemptTarget, out: AnswerSink): Attempt {
    const { path, query, body, envelope } = this.#parts;
    const model = nameAt(target, envelope.model);
    const isTheirs = target.dialect === "anthropic";
    const edits: Edit[] = [...(this.#prompt?.edits ?? [])];
    if (model !== envelope.model) edits.push({ ...envelope.modelSpan, text: JSON.stringify(model) });
    return {
      method: "POST",
      path: isTheirs && query !== "" ? `${path}?${query}` : path,
      headers: this.#headers(isTheirs),
      ...(edits.length === 0 ? { body } : editBody(body, edits)),
      reader: messagesReader(this.operation, {
        out: renamed(out, { sent: model, told: envelope.model, isStream: this.stream }),
        estimate: this.estimate,
        isStream: this.stream,
      }),
    };
  }

  /** What a caller asks for of Anthropic's versions and trials goes to Anthropic's servers only. */
  #headers(isTheirs: boolean): [string, string][] {
    const { headers } = this.#parts;
    const list: [string, string][] = [["content-type", "application/json"]];
    const version = isTheirs ? headerValue(headers, "anthropic-version") : undefined;
    list.push(["anthropic-version", version ?? anthropicVersion]);
    const beta = headers["anthropic-beta"];
    if (isTheirs && beta !== undefined) {
      list.push(["anthropic-beta", typeof beta === "string" ? beta : beta.join(",")]);
    }
    return list;
  }
}
