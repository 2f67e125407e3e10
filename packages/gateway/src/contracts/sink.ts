/** The two ends of a running answer. */
import type { CancelReason } from "../core/cancellation.ts";
import type { Failure } from "../core/errors.ts";
import type { HeaderList } from "../core/headers.ts";
import type { WireAnswer } from "../core/request.ts";
import type { SpentMemory } from "../core/wire-answer.ts";

/** The door's side of an answer. Called synchronously; nothing is called after `whole`, `end` or `fail`. */
export interface ResponseSink {
  /** An answer that is complete: `head`, all `data` and `end` in one. `spent` may be freed once it has been taken. */
  whole(answer: WireAnswer, spent?: SpentMemory): void;
  head(status: number, headers: HeaderList): void;
  /** False: no more until `Exchange.resume`. */
  data(chunk: Uint8Array): boolean;
  /** More follows in this turn of the event loop: it may leave in one write. Changes nothing but how often is written. */
  gather?(): void;
  end(): void;
  /** Before `head`: the dialect's error body. After it: the dialect's error event, or an aborted connection. */
  fail(failure: Failure): void;
}

/** The other side: what a door may ask of a running answer. */
export interface Exchange {
  resume(): void;
  cancel(reason: CancelReason): void;
}
