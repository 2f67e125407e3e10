/** One picture put to one model through the pipeline, and its answer as a value. */
import { pictureType, pictureTypes } from "../../dialects/tensors/picture.ts";
import { bindTensors } from "../../dialects/tensors/bind-tensors.ts";
import { plainTensor } from "../../dialects/tensors/plain-inputs.ts";
import type { Decision, Exchange, Pipeline, ResponseSink } from "../../contracts/pipeline.ts";
import type { LocalQuestion } from "../../contracts/local-inference.ts";
import { Cancellation, type CancelReason } from "../../core/cancellation.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { failure, isFailure, toFailure, type Failure } from "../../core/errors.ts";
import type { ServedModel } from "../../core/model.ts";
import type { SpentMemory } from "../../core/wire-answer.ts";
import type {
  BoundTensors,
  InferenceRequest,
  TensorAnswer,
  TensorPayload,
  WireAnswer,
} from "../../core/request.ts";

/** What a question is put with. */
export interface PictureQuestionParts {
  readonly pipeline: Pipeline;
  readonly clock: Clock;
  readonly question: Omit<LocalQuestion, "detector" | "model" | "cancellation">;
  readonly model: { readonly name: string; readonly version: string | undefined };
  /** Called exactly once. */
  readonly done: (answer: TensorAnswer | Failure) => void;
}

const nothing: WireAnswer = { status: 200, headers: [], body: [] };

/** Is its own payload and sink. */
export class PictureQuestion implements TensorPayload, ResponseSink {
  readonly kind = "tensors";
  readonly #parts: PictureQuestionParts;
  readonly #request: InferenceRequest<TensorPayload>;
  readonly #timer: Timer;
  readonly #cancellation = new Cancellation();
  #exchange: Exchange | undefined;
  #answer: TensorAnswer | undefined;
  /** The picture as it was sent: a copy that nobody else has. */
  #sent: Uint8Array | undefined;
  #isDone = false;

  constructor(parts: PictureQuestionParts) {
    const { clock, question, model } = parts;
    this.#parts = parts;
    const receivedAt = clock.now();
    this.#request = {
      id: question.requestId,
      model: model.name,
      version: model.version,
      caller: question.caller,
      receivedAt,
      deadline: receivedAt + question.timeoutMs,
      priority: 0,
      payload: this,
      cancellation: this.#cancellation,
    };
    this.#timer = clock.after(question.timeoutMs, () => this.#expire());
  }

  /** Puts it. */
  start(): void {
    try {
      const verdict = this.#parts.pipeline.decide(this.#request);
      if (!(verdict instanceof Promise)) return this.#decided(verdict);
      verdict.then(
        (later) => this.#decided(later),
        (error: unknown) => this.#settle(toFailure(error)),
      );
    } catch (error) {
      this.#settle(toFailure(error));
    }
  }

  /** Nobody wants the answer any more. */
  cancel(reason: CancelReason): void {
    this.#callOff(reason);
    this.#settle(failure("client_gone"));
  }

  bind(model: ServedModel): BoundTensors | Failure {
    const { picture, mediaType } = this.#parts.question;
    if (pictureType(picture) === undefined) return notTaken(mediaType);
    const tensor = plainTensor(model, { kind: "image", bytes: picture });
    if (isFailure(tensor)) return tensor;
    this.#sent = tensor.data;
    return bindTensors(model, { inputs: [tensor], outputs: undefined });
  }

  write(answer: TensorAnswer): WireAnswer {
    this.#answer = answer;
    return nothing;
  }

  whole(_: WireAnswer, spent?: SpentMemory): void {
    if (spent?.request === true) this.#freeSent();
    this.#settle(this.#answer ?? failure("bad_upstream_answer"));
  }

  /** Before the next picture takes fresh memory, which is slower than what was just in use. */
  #freeSent(): void {
    const buffer = this.#sent?.buffer;
    if (buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0);
  }

  fail(reason: Failure): void {
    this.#settle(reason);
  }

  /** Models of workers answer at once. */
  head(): void {}

  data(): boolean {
    return true;
  }

  end(): void {
    this.#settle(failure("bad_upstream_answer"));
  }

  /** A decision is carried even when nobody wants it any more: what it holds is given back there. */
  #decided(decision: Decision | Failure): void {
    if (isFailure(decision)) return this.#settle(decision);
    try {
      this.#exchange = this.#parts.pipeline.carry(decision, this);
    } catch (error) {
      return this.#settle(toFailure(error));
    }
    const { reason } = this.#cancellation;
    if (reason !== undefined) this.#exchange.cancel(reason);
  }

  #expire(): void {
    this.#callOff("deadline");
    const { timeoutMs } = this.#parts.question;
    this.#settle(failure("upstream_timeout", `The local model took more than ${timeoutMs} ms`));
  }

  #callOff(reason: CancelReason): void {
    if (this.#isDone) return;
    this.#cancellation.cancel(reason);
    this.#exchange?.cancel(reason);
  }

  #settle(answer: TensorAnswer | Failure): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#timer.cancel();
    this.#request.reservation?.settle(this.#request.usage);
    this.#parts.done(answer);
  }
}

/** The cloud takes further kinds of pictures. */
function notTaken(mediaType: string): Failure {
  const kinds = pictureTypes.join(", ");
  return /^image\/(?:gif|bmp|x-icon|vnd\.microsoft\.icon)$/.test(mediaType)
    ? failure("unsupported_media_type", `The local model takes pictures of type ${kinds}, got ${mediaType}`)
    : failure("invalid_image", `The body is no picture of type ${kinds}`);
}
