/** One attempt at one server: its answer is read, timed, and brought to an end exactly once. */
import type { ServerCall, ServerError, ServerHandler, ServerRequest } from "../../contracts/connection.ts";
import type { AttemptResult, ForwardTimeouts, HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { Clock } from "../../core/clock.ts";
import { failure, toFailure, type Failure } from "../../core/errors.ts";
import type { AnswerReader, Attempt, ForwardPayload, TokenUsage } from "../../core/forward.ts";
import type { HeaderMap } from "../../core/headers.ts";
import { endOfError, endOfReader, endOfRefusal, endOfTimeout, type AttemptEnd } from "./attempt-end.ts";
import { tickMs, type DeadlineWatch, type Watched } from "./deadline-watch.ts";
import { HeldAnswer, type AnswerOwner } from "./held-answer.ts";

/** Bytes kept of an answer that is no 2xx; the rest is cut off. */
const refusalBytes = 65_536;

/** Who made the attempt. Called synchronously. */
export interface AttemptOwner {
  /** The answer is worth having, or too long to be held back: its head and what is held go to the caller. */
  committed(attempt: ForwardAttempt): void;
  /** A piece, after `committed`. False: no more until `resume`. */
  passed(chunk: Uint8Array): boolean;
  /** The end follows in this turn, after what is left to pass. */
  ending(): void;
  /** The answer is whole. */
  completed(attempt: ForwardAttempt): void;
  /**
   * There is no whole answer. Before `committed` another attempt may follow. After it, `told` says
   * whether the reader has told the caller and ended the answer.
   */
  failed(attempt: ForwardAttempt, end: AttemptEnd, told: boolean): void;
}

/** What all attempts share. */
export interface AttemptContext {
  readonly clock: Clock;
  readonly watch: DeadlineWatch;
  /** Hears of faults in the gateway's own code. */
  readonly onFault: (error: unknown) => void;
}

/**
 * - `sent`: nothing has come yet.
 * - `refusing`: an answer that is no 2xx is collected.
 * - `reading`: a good answer comes.
 * - `breaking`: the reader is being told that it broke off.
 * - `draining`: the reader has written its last; what the server still sends is thrown away, so that the connection can be kept.
 * - `ended`: nothing more happens.
 */
type Phase = "sent" | "refusing" | "reading" | "breaking" | "draining" | "ended";

/** How long the rest of an answer is waited for, ms. */
const drainMs = 1_000;

/** An attempt: the handler of the server's answer, and the owner of what the reader makes of it. */
export class ForwardAttempt implements ServerHandler, AnswerOwner, Watched {
  readonly endpoint: HttpEndpoint;
  readonly answer: HeldAnswer;
  readonly startedAt: number;
  /** From sending to the first content, ms; undefined before. */
  firstTokenMs: number | undefined;
  dueAt: number;
  watchIndex = -1;
  readonly #context: AttemptContext;
  readonly #owner: AttemptOwner;
  readonly #timeouts: ForwardTimeouts;
  readonly #stream: boolean;
  #phase: Phase = "sent";
  #reader: AnswerReader | undefined;
  #call: ServerCall | undefined;
  #paused = false;
  #status: number | undefined;
  #headers: HeaderMap = {};
  #refusal: Uint8Array[] = [];
  #refusalSize = 0;
  #serverEnded = false;
  #broken: AttemptEnd | undefined;

  constructor(
    context: AttemptContext,
    owner: AttemptOwner,
    endpoint: HttpEndpoint,
    request: { readonly timeouts: ForwardTimeouts; readonly payload: ForwardPayload },
  ) {
    this.#context = context;
    this.#owner = owner;
    this.endpoint = endpoint;
    this.#timeouts = request.timeouts;
    this.#stream = request.payload.stream;
    this.answer = new HeldAnswer(this, { opensAtContent: this.#stream });
    this.startedAt = context.clock.now();
    const { totalMs, firstTokenMs } = this.#timeouts;
    this.dueAt = this.startedAt + (this.#stream ? Math.min(firstTokenMs, totalMs) : totalMs);
  }

  get ended(): boolean {
    return this.#phase === "ended";
  }

  /** False as long as it is certain that no byte of the request was sent. */
  get sent(): boolean {
    return this.#call?.sent ?? false;
  }

  /** Sends the request. The owner may hear of the end before this returns. */
  start(wire: Attempt & Pick<ServerRequest, "needsNewConnection">): void {
    this.#reader = wire.reader;
    this.#context.watch.add(this);
    const call = this.endpoint.connection.send(wire, this);
    this.#call = call;
    if (this.#phase === "ended") call.cancel();
  }

  /** The caller can take more. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#phase !== "reading") return;
    this.#putOff();
    this.#call?.resume();
  }

  /** Nobody wants the answer: the server's connection is closed. The owner hears nothing more. Idempotent. */
  abandon(): void {
    this.#leave();
    this.#call?.cancel();
  }

  /** Ends here: the server's connection is closed, and the owner hears of `reason` as of a failure. */
  callOff(reason: Failure): void {
    this.#break({
      kind: "cancelled",
      failure: reason,
      sent: this.sent,
      refused: undefined,
      retryAfterMs: undefined,
    });
  }

  result(kind: AttemptResult["kind"], retryAfterMs?: number): AttemptResult {
    return {
      kind,
      status: this.#status,
      retryAfterMs,
      firstTokenMs: this.firstTokenMs,
      durationMs: this.#context.clock.now() - this.startedAt,
      usage: this.answer.tokens,
    };
  }

  head(status: number, headers: HeaderMap): void {
    if (this.#phase !== "sent") return;
    this.#status = status;
    this.#headers = headers;
    if (status < 200 || status > 299) {
      this.#phase = "refusing";
      return;
    }
    this.#phase = "reading";
    if (!this.#stream) this.#putOff();
    try {
      this.#reader?.head(status, headers);
    } catch (error) {
      this.#fault(error);
    }
  }

  data(chunk: Uint8Array, isLast: boolean): void {
    if (this.#phase === "refusing") return this.#collect(chunk);
    if (this.#phase !== "reading") return;
    if (isLast && this.answer.isOpen) this.#owner.ending();
    if (this.firstTokenMs !== undefined || !this.#stream) this.#putOff();
    try {
      this.#reader?.data(chunk);
    } catch (error) {
      this.#fault(error);
    }
  }

  end(): void {
    if (this.#phase === "refusing") return this.#refused();
    if (this.#phase === "draining") return this.#leave();
    if (this.#phase !== "reading") return;
    this.#serverEnded = true;
    try {
      this.#reader?.end();
    } catch (error) {
      this.#fault(error);
    }
    if (this.#phase === "reading" && this.#reader?.isTranslating !== true)
      this.unreadable(failure("internal"));
  }

  failed(error: ServerError): void {
    if (this.#phase === "draining") return this.#leave();
    this.#break(endOfError(error));
  }

  due(): void {
    if (this.#phase === "draining") return this.abandon();
    const { totalMs, firstTokenMs, idleMs } = this.#timeouts;
    const now = this.#context.clock.now();
    if (now >= this.startedAt + totalMs) return this.#break(endOfTimeout("whole answer", totalMs));
    if (this.#stream && this.firstTokenMs === undefined) {
      return this.#break(endOfTimeout("first token", firstTokenMs));
    }
    this.#break(endOfTimeout("further piece of its answer", idleMs));
  }

  contentBegins(): void {
    if (this.#phase === "ended") return;
    this.firstTokenMs = this.#context.clock.now() - this.startedAt;
    this.#putOff();
  }

  opened(): void {
    if (this.#phase === "ended") return;
    this.#owner.committed(this);
  }

  passed(chunk: Uint8Array): void {
    if (this.#phase !== "reading" && this.#phase !== "breaking") return;
    if (this.#owner.passed(chunk) || this.#phase !== "reading") return;
    this.pause();
  }

  /** Reads no more until `resume`. Waiting for the caller is not the server's silence. */
  pause(): void {
    this.#paused = true;
    this.dueAt = this.startedAt + this.#timeouts.totalMs;
    this.#call?.pause();
  }

  written(failed: Failure | undefined): void {
    if (this.#phase !== "reading" && this.#phase !== "breaking") return;
    const broken = this.#broken ?? (failed === undefined ? undefined : endOfReader(failed));
    if (broken !== undefined) {
      this.abandon();
      return this.#owner.failed(this, broken, this.answer.isOpen);
    }
    if (this.#serverEnded) this.#leave();
    else this.#drain();
    this.#owner.completed(this);
  }

  unreadable(reason: Failure): void {
    if (this.#phase === "ended" || this.#phase === "draining") return;
    const end = this.#broken ?? endOfReader(reason);
    this.abandon();
    this.#owner.failed(this, end, false);
  }

  /** What was used up to now; undefined where nothing is known of it. */
  get used(): TokenUsage | undefined {
    if (this.answer.tokens !== undefined) return this.answer.tokens;
    try {
      return this.#reader?.usedSoFar();
    } catch (error) {
      this.#context.onFault(error);
      return undefined;
    }
  }

  /** What the caller gets where the server's refusal is the last word. */
  writeRefusal(refused: NonNullable<AttemptEnd["refused"]>): ReturnType<AnswerReader["refused"]> | undefined {
    try {
      return this.#reader?.refused(refused);
    } catch (error) {
      this.#context.onFault(error);
      return undefined;
    }
  }

  #putOff(): void {
    const { totalMs, idleMs } = this.#timeouts;
    this.dueAt = Math.min(this.#context.watch.now + tickMs + idleMs, this.startedAt + totalMs);
  }

  #collect(chunk: Uint8Array): void {
    const room = refusalBytes - this.#refusalSize;
    this.#refusal.push(chunk.length > room ? chunk.subarray(0, room) : chunk);
    this.#refusalSize += Math.min(room, chunk.length);
    if (chunk.length < room) return;
    this.#refused();
  }

  #refused(): void {
    const [first] = this.#refusal;
    const body = this.#refusal.length === 1 && first !== undefined ? first : Buffer.concat(this.#refusal);
    const refused = { status: this.#status ?? 0, headers: this.#headers, body };
    this.abandon();
    this.#owner.failed(this, endOfRefusal(refused, this.#context.clock.wallNow()), false);
  }

  /** There is no more: before the commit point the owner decides, after it the reader says so in the caller's dialect. */
  #break(end: AttemptEnd): void {
    if (this.#phase !== "sent" && this.#phase !== "refusing" && this.#phase !== "reading") return;
    this.#context.watch.remove(this);
    if (!this.answer.isOpen) {
      this.abandon();
      return this.#owner.failed(this, end, false);
    }
    this.#phase = "breaking";
    this.#broken = end;
    this.#call?.cancel();
    try {
      this.#reader?.cut(end.failure);
    } catch (error) {
      this.#context.onFault(error);
    }
    // A reader that neither ended nor failed leaves it to the connection's end.
    if (!this.ended) this.unreadable(end.failure);
  }

  #drain(): void {
    this.#phase = "draining";
    this.dueAt = this.#context.watch.now + drainMs;
    if (this.#paused) this.#call?.resume();
  }

  #fault(error: unknown): void {
    this.#context.onFault(error);
    this.unreadable(toFailure(error));
  }

  #leave(): void {
    this.#phase = "ended";
    this.#context.watch.remove(this);
  }
}
