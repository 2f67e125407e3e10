/** A payload whose answer is judged: how sure the model was, and whether it has the form that the caller asked for. */
import type { EscalateWhen } from "../../contracts/escalation.ts";
import type { Cancellation } from "../../core/cancellation.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type {
  AnswerSink,
  Attempt,
  AttemptTarget,
  ChatDialect,
  ForwardPayload,
  Operation,
  TokenEstimate,
} from "../../core/forward.ts";
import type { PoolEscalationReason } from "../../core/pool-escalation.ts";
import { AnswerSignals, type SignalWords } from "./answer-signals.ts";
import { askProbabilities } from "./ask-probabilities.ts";
import { fitsSchema } from "../../core/fits-schema.ts";
import { JudgingReader } from "./judging-reader.ts";

/** True where a route has reasons that come from the answer. */
export function judgesAnswers({ confidence, margin, schema }: EscalateWhen): boolean {
  return confidence !== undefined || margin !== undefined || schema;
}

/** Servers that tell log-probabilities, by the address they are asked at. */
const wordsOf: Readonly<Record<string, SignalWords>> = {
  "/v1/chat/completions": "chat",
  "/v1/completions": "completions",
  "/api/chat": "ollama",
  "/api/generate": "ollama",
};

/** Wraps a payload and is one. */
export class JudgingPayload implements ForwardPayload {
  readonly kind = "forward";
  readonly dialect: ChatDialect;
  readonly operation: Operation;
  readonly stream: boolean;
  readonly repeatable: boolean;
  readonly estimate: TokenEstimate;
  readonly #payload: ForwardPayload;
  readonly #when: EscalateWhen;
  readonly #asks: boolean;
  /** Of the attempt that is given. */
  #signals: AnswerSignals | undefined;
  #schema: unknown;
  /** A server was asked for what the caller did not ask for. */
  hasAdded = false;

  /** `asks` false: the server is not asked for log-probabilities. */
  constructor(
    payload: ForwardPayload,
    { when, asks }: { readonly when: EscalateWhen; readonly asks: boolean },
  ) {
    this.dialect = payload.dialect;
    this.operation = payload.operation;
    this.stream = payload.stream;
    this.repeatable = payload.repeatable;
    this.estimate = payload.estimate;
    this.#payload = payload;
    this.#when = when;
    this.#asks = asks;
  }

  prepare(target: AttemptTarget, cancellation: Cancellation): Promise<void> | undefined {
    return this.#payload.prepare(this.#judged(target), cancellation);
  }

  attempt(target: AttemptTarget, sink: AnswerSink): Attempt | Failure {
    const wire = this.#payload.attempt(this.#judged(target), sink);
    if (isFailure(wire)) return wire;
    const words = wordsOf[wire.path];
    if (words === undefined) return wire;
    const { confidence, margin } = this.#when;
    const alternatives = this.#asks && margin !== undefined;
    const logprobs = alternatives || (this.#asks && confidence !== undefined);
    const { sent, isAdded, schema } = askProbabilities(wire, words, { logprobs, alternatives });
    if (isAdded) this.hasAdded = true;
    const reader = new JudgingReader({
      reader: wire.reader,
      words,
      strips: isAdded,
      signals: new AnswerSignals(),
      onData: (signals) => {
        this.#signals = signals;
        this.#schema = schema;
      },
    });
    return { ...wire, ...sent, reader };
  }

  /**
   * Servers of other APIs that serve `/v1/messages` tell no log-probabilities there, and take no schema: such a call is
   * translated for their own address.
   */
  #judged(target: AttemptTarget): AttemptTarget {
    if (this.operation !== "messages" || target.dialect === "anthropic") return target;
    return { ...target, serves: target.serves.filter((operation) => operation !== "messages") };
  }

  /** Why the answer is not good enough; undefined: it is, or nothing is known against it. */
  verdict(): PoolEscalationReason | undefined {
    const signals = this.#signals;
    if (signals === undefined) return undefined;
    const { confidence = 0, margin = 0, schema } = this.#when;
    if (schema && this.#schema !== undefined && !signals.hasCalls && !this.#fits(signals)) return "schema";
    if ((signals.confidence ?? 1) < confidence) return "confidence";
    return (signals.margin ?? 1) < margin ? "margin" : undefined;
  }

  /** An answer that was not seen whole is not held against its model. */
  #fits({ text }: AnswerSignals): boolean {
    if (text === undefined) return true;
    try {
      return fitsSchema(JSON.parse(text), this.#schema) !== false;
    } catch {
      return false;
    }
  }
}
