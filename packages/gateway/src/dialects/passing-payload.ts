/** The payload of a request whose body goes by unread: its head says what it is, and its answer is read all the same. */
import { failure, type Failure } from "../core/errors.ts";
import type {
  AnswerReader,
  AnswerSink,
  Attempt,
  AttemptTarget,
  ChatDialect,
  ForwardPayload,
  Operation,
  TokenEstimate,
} from "../core/forward.ts";
import type { HeadCall } from "../contracts/route.ts";
import { nameAt } from "../core/model-name.ts";
import { estimateTokens } from "./streams/estimate-tokens.ts";
import { ReaderByType } from "./streams/reader-by-type.ts";

/** What a dialect gives. */
export interface PassingParts {
  readonly dialect: ChatDialect;
  readonly operation: Operation;
  /** With a leading slash. */
  readonly path: string;
  /** True for a server that has the call itself. */
  readonly isServed: (target: AttemptTarget) => boolean;
  /** Reads an answer of a server that has the call. */
  readonly createReader: (out: AnswerSink, estimate: TokenEstimate, isStream: boolean) => AnswerReader;
  readonly refused: AnswerReader["refused"];
}

const noBody = new Uint8Array(0);

/** One request. Whether its answer is streamed is known once the answer is here. */
export class PassingPayload implements ForwardPayload {
  readonly kind = "forward";
  /** Its body is gone once it was sent. */
  readonly repeatable = false;
  readonly dialect: ChatDialect;
  readonly operation: Operation;
  readonly estimate: TokenEstimate;
  readonly bytes: number;
  stream = false;
  readonly #parts: PassingParts;
  readonly #model: string;

  constructor(parts: PassingParts, { model, bytes }: Pick<HeadCall, "model" | "bytes">) {
    this.dialect = parts.dialect;
    this.operation = parts.operation;
    this.bytes = bytes;
    this.estimate = { promptTokens: estimateTokens(bytes), maxCompletionTokens: undefined };
    this.#parts = parts;
    this.#model = model;
  }

  passesTo(target: AttemptTarget): boolean {
    return this.#parts.isServed(target) && nameAt(target, this.#model) === this.#model;
  }

  prepare(): undefined {
    return undefined;
  }

  attempt(target: AttemptTarget, sink: AnswerSink): Attempt | Failure {
    if (!this.passesTo(target)) {
      return failure("model_unavailable", "The server takes such a request in other words only", 1_000);
    }
    const { path, createReader, refused } = this.#parts;
    const create = (isStream: boolean): AnswerReader => {
      this.stream = isStream;
      return createReader(sink, this.estimate, isStream);
    };
    const reader = new ReaderByType({ streamType: "text/event-stream", create, refused });
    return { method: "POST", path, headers: [], body: noBody, reader };
  }
}
