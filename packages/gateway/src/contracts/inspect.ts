/** How engines show their state to operators. */

/** JSON-like values. */
export type Snapshot =
  | string
  | number
  | boolean
  | null
  | readonly Snapshot[]
  | { readonly [key: string]: Snapshot };

/** Implemented by every engine: a bounded picture of its state. */
export interface Inspect {
  inspect(): Snapshot;
}
