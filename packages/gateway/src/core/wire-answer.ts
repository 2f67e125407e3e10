/** Whole answers. */

/** An answer in the caller's own dialect, whole. */
export interface WireAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: readonly Uint8Array[];
}
