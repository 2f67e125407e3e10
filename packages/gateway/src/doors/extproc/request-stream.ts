/** What the parts of a stream ask of it. */
import type { Failure } from "../../core/errors.ts";
import type { BodyModes } from "./read-message.ts";
import type { SentRequest } from "./send-request.ts";
import type { StreamContext } from "./stream-context.ts";
import type { ImmediateAnswer } from "./write-replies.ts";

/**
 * Where a stream is.
 * - `head`: nothing has come.
 * - `receiving`: the head is here, and it takes more to decide.
 * - `deciding`: the dialect, the line or the pool has the request.
 * - `sent`: Envoy was told where it goes; its body may still pass by.
 * - `answering`: the head of the answer has come.
 * - `over`: nothing is waited for any more; Envoy closes the stream.
 */
export type StreamPhase = "head" | "receiving" | "deciding" | "sent" | "answering" | "over";

/** A stream, as those see it that take its request and find its server. */
export interface RequestStream {
  readonly context: StreamContext;
  /** When it began, on the clock. */
  readonly receivedAt: number;
  /** Address of Envoy. */
  readonly peer: string;
  readonly modes: BodyModes;
  phase: StreamPhase;
  send(message: readonly Uint8Array[]): void;
  /** The request has its server: Envoy is told. */
  tell(sent: SentRequest): void;
  /** Answers instead of a server. */
  refuse(reason: Failure): void;
  answerAtOnce(answer: ImmediateAnswer): void;
  /** Ends the stream so that Envoy breaks off what it sends. */
  broken(reason: Failure): void;
  /** The request was called off to make room. */
  evicted(): void;
  /** A thread has finished the answer. */
  lateAnswer(): void;
  /** Runs what comes in another turn of the event loop; what it throws ends the stream. */
  guarded(run: () => void): void;
  crashed(error: unknown): void;
}
