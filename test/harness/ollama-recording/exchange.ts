/** One call of a real server, and what it answered. */
export interface Exchange {
  readonly request: {
    readonly method: string;
    readonly path: string;
    /** Absent for none, and for an upload. */
    readonly body?: string;
  };
  readonly response: {
    readonly status: number;
    /** As they were sent, without `Date`, `Connection` and `Keep-Alive`. */
    readonly headers: readonly (readonly [string, string])[];
    /** The body's bytes as UTF-8, in the pieces in which they came. */
    readonly pieces: readonly string[];
    /** False where the connection was cut. */
    readonly isWhole: boolean;
  };
}
