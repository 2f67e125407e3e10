/** How a request is called off: one slot that whichever stage holds the request listens to. */

/**
 * Why a request was called off. `evicted`: flow control took its place for a more urgent one; the caller is still there
 * and is answered with the failure of that name.
 */
export type CancelReason = "client_gone" | "deadline" | "shutdown" | "superseded" | "evicted";

/**
 * Called off at most once. One listener at a time: the stage that takes the request over replaces
 * the listener of the one before, which costs less than an AbortSignal and cannot leak.
 */
export class Cancellation {
  #reason: CancelReason | undefined;
  #listener: ((reason: CancelReason) => void) | undefined;

  /** Undefined while the request is wanted. */
  get reason(): CancelReason | undefined {
    return this.#reason;
  }

  /** Calls the request off. Only the first call counts. */
  cancel(reason: CancelReason): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.(reason);
  }

  /** Sets or clears the listener. A listener set after the fact is called at once. */
  listen(listener: ((reason: CancelReason) => void) | undefined): void {
    if (this.#reason !== undefined) listener?.(this.#reason);
    else this.#listener = listener;
  }
}
