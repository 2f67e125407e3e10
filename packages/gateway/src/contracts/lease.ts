/** Load held at an endpoint. */
import type { Outcome } from "../core/outcome.ts";

/** Held from the moment a request gets its place until its answer has ended. */
export interface Lease {
  /** When the request entered the line and when it left it, ms on the pipeline's clock. */
  readonly enqueuedAt: number;
  readonly grantedAt: number;
  /** Releases the load. Only the first call counts. */
  settle(outcome: Outcome): void;
}
