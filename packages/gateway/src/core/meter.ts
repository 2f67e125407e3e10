/** What a caller may use, counted as it is used. */
import type { Failure } from "./errors.ts";
import type { TokenEstimate, TokenUsage } from "./forward.ts";
import type { HeaderList } from "./headers.ts";

/** Counts one caller's requests and tokens against its limits. Single writer: called on the loop, never across an await. */
export interface CallerMeter {
  /** Takes one request, before a body byte is kept. A refusal says when to come again. */
  admit(): Failure | undefined;
  /** Counts a request that was refused for what the caller may not do. */
  forbidden(what: "scope" | "model"): void;
  /**
   * An inference request begins: takes a place and, for a request that reads and writes tokens, as
   * many as it may use. Undefined for a request without tokens. Every reservation must be settled.
   */
  enter(estimate: TokenEstimate | undefined): Reservation | Failure;
  /** The limits and what is left of them, for the caller's answers; empty where there are none. */
  headers(): HeaderList;
}

/** What one request holds of its caller's limits. */
export interface Reservation {
  /**
   * The request has ended, whichever way: gives its place back and charges what was really used in
   * the place of what was reserved. Undefined: nothing was. Only the first call counts.
   */
  settle(usage: TokenUsage | undefined): void;
}
