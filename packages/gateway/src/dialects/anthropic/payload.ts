/** Calls of Anthropic's API on their way to servers: as bytes where they are served, else translated. */
import type { Cancellation } from "../../core/cancellation.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type {
  AnswerReader,
  AnswerSink,
  Attempt,
  AttemptTarget,
  ForwardPayload,
  TokenEstimate,
  TokenUsage,
} from "../../core/forward.ts";
import { nameAt } from "../../core/model-name.ts";
import { headerValue, type HeaderMap } from "../../core/headers.ts";
import { passRefusal } from "../chat/refusal.ts";
import type { ChatTranslation } from "../chat/translation.ts";
import { editBody } from "../json/replace-span.ts";
import { StreamRelay } from "../streams/stream-relay.ts";
import { WholeRelay } from "../streams/whole-relay.ts";
import { writeAnthropicRefusal } from "./errors.ts";
import type { MessagesEnvelope } from "./read-envelope.ts";
import { anthropicStream, MessagesInspector, readWholeUsage } from "./relay.ts";
import { anthropicVersion } from "./write-messages.ts";

/** What one call's payload is made from. */
export interface MessagesPayloadParts {
  readonly operation: "messages" | "count_tokens";
  readonly path: string;
  /** Without the `?`. */
  readonly query: string;
  readonly headers: HeaderMap;
  readonly body: Uint8Array;
  readonly envelope: MessagesEnvelope;
  readonly translate: () => ChatTranslation;
}

const noTokens: TokenUsage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, estimated: false };

/** One call. */
export class MessagesPayload implements ForwardPayload {
  readonly kind = "forward";
  readonly dialect = "anthropic";
  readonly repeatable = true;
  readonly operation: "messages" | "count_tokens";
  readonly stream: boolean;
  readonly estimate: TokenEstimate;
  readonly #parts: MessagesPayloadParts;
  #translation: ChatTranslation | undefined;

  constructor(parts: MessagesPayloadParts) {
    const { operation, envelope } = parts;
    this.#parts = parts;
    this.operation = operation;
    const isCount = operation === "count_tokens";
    this.stream = envelope.stream && !isCount;
    this.estimate = isCount ? { promptTokens: 0, maxCompletionTokens: 0 } : envelope.estimate;
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

  #isServed({ dialect, serves }: AttemptTarget): boolean {
    return dialect === "anthropic" || serves.includes(this.operation);
  }

  #translated(): ChatTranslation {
    return (this.#translation ??= this.#parts.translate());
  }

  #relay(target: AttemptTarget, out: AnswerSink): Attempt {
    const { path, query, body, envelope } = this.#parts;
    const model = nameAt(target, envelope.model);
    const isTheirs = target.dialect === "anthropic";
    return {
      method: "POST",
      path: isTheirs && query !== "" ? `${path}?${query}` : path,
      headers: this.#headers(isTheirs),
      ...(model === envelope.model
        ? { body }
        : editBody(body, [{ ...envelope.modelSpan, text: JSON.stringify(model) }])),
      reader: this.#reader(out),
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

  #reader(out: AnswerSink): AnswerReader {
    const { estimate, operation } = this;
    const shared = { out, estimate, passedHeaders: ["request-id"], refused: refuse };
    if (this.stream) {
      return new StreamRelay({ ...shared, words: anthropicStream, inspector: new MessagesInspector() });
    }
    const readUsage = (tail: Uint8Array, answerBytes: number): TokenUsage =>
      operation === "count_tokens" ? noTokens : readWholeUsage(tail, answerBytes, estimate);
    return new WholeRelay({ ...shared, readUsage });
  }
}

const refuse: AnswerReader["refused"] = (answer) => passRefusal(answer, writeAnthropicRefusal);
