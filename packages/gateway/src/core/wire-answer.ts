/** Whole answers. */

/** An answer in the caller's own dialect, whole. */
export interface WireAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: readonly Uint8Array[];
}

/**
 * Large memory that nobody needs once the caller has taken an answer. Whoever sends the answer may free it then;
 * what is not freed is left to the garbage collector.
 */
export interface SpentMemory {
  /** What the answer's bytes are views of; undefined: others have views of it too, or it is small. */
  readonly answer: Uint8Array | undefined;
  /** Nothing reads the request's body any more. */
  readonly request: boolean;
}
