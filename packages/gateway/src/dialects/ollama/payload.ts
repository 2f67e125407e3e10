/** Calls of Ollama's API on their way to servers: as bytes to Ollama's, translated to the others. */
import type { Cancellation } from "../../core/cancellation.ts";
import type { Failure } from "../../core/errors.ts";
import type {
  AnswerReader,
  AnswerSink,
  Attempt,
  AttemptTarget,
  ForwardPayload,
  Operation,
  TokenEstimate,
  TokenUsage,
} from "../../core/forward.ts";
import type { AnswerContext } from "../chat/codec.ts";
import { passRefusal } from "../chat/refusal.ts";
import { notOffered, type Translator } from "../chat/translation.ts";
import { editBody } from "../json/replace-span.ts";
import { StreamRelay } from "../streams/stream-relay.ts";
import { WholeRelay } from "../streams/whole-relay.ts";
import { nameAt } from "../../core/model-name.ts";
import type { OllamaEnvelope } from "./read-envelope.ts";
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
  readonly translate: ((context: Pick<AnswerContext, "estimate" | "model">) => Translator) | undefined;
}

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
  #translator: Translator | undefined;

  constructor(parts: OllamaPayloadParts) {
    const { operation, envelope } = parts;
    this.#parts = parts;
    this.operation = operation;
    this.estimate = envelope.estimate;
    this.stream = envelope.stream && !envelope.isLoad && (operation === "chat" || operation === "generate");
  }

  prepare(target: AttemptTarget, cancellation: Cancellation): Promise<void> | undefined {
    return target.dialect === "ollama" ? undefined : this.#translated()?.prepare(target, cancellation);
  }

  attempt(target: AttemptTarget, out: AnswerSink): Attempt | Failure {
    if (target.dialect === "ollama") return this.#relay(target, out);
    return this.#translated()?.attempt(target, out) ?? notOffered(this.operation, target);
  }

  #translated(): Translator | undefined {
    const { translate, envelope } = this.#parts;
    return (this.#translator ??= translate?.({ estimate: this.estimate, model: envelope.model }));
  }

  #relay(target: AttemptTarget, out: AnswerSink): Attempt {
    const { path, body, envelope } = this.#parts;
    const model = nameAt(target, envelope.model);
    const sent =
      model === envelope.model
        ? { body }
        : editBody(body, [{ ...envelope.modelSpan, text: JSON.stringify(model) }]);
    return { method: "POST", path, headers: ollamaHeaders, ...sent, reader: this.#reader(out) };
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
