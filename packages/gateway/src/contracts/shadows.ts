/** Shadow profiles: run beside the live ones on the same requests, to be compared, and without a say. */
import type { ExplainedCycle } from "./explanation.ts";

/**
 * What came of a shadow for one live cycle.
 * - `agree`: it chose the live endpoint first, or refused what was refused.
 * - `disagree`: it chose another.
 * - `error`: one of its plugins threw.
 * - `late`: its thread did not answer in time and was ended.
 * - `dropped`: it was not told, since its thread had too much to do or was not there.
 */
export const shadowResults = ["agree", "disagree", "error", "late", "dropped"] as const;

/** One of `shadowResults`. */
export type ShadowResult = (typeof shadowResults)[number];

/** A request for which a shadow chose another endpoint. */
export interface ShadowDisagreement {
  readonly id: string;
  readonly model: string;
  /** Endpoints; undefined: the request was refused. */
  readonly live: string | undefined;
  readonly shadow: string | undefined;
  /** How far the shadow's own total of its choice is above that of the live one; undefined where it did not score that. */
  readonly margin: number | undefined;
  /** The shadow's cycle. */
  readonly explanation: ExplainedCycle | undefined;
}

/** What is known of one shadow. */
export interface ShadowReport {
  readonly pool: string;
  readonly shadow: string;
  /** `starting`: its thread is not ready. `resting`: it held up the thread, or could not be made, and is left out for a while. */
  readonly state: "running" | "starting" | "resting";
  readonly results: Readonly<Record<ShadowResult, number>>;
  /**
   * Prompt tokens that were to be computed before the first token: those under way at the endpoint and those of the
   * request that it does not have in its cache. Sums over compared cycles, of the live choices and of the shadow's.
   */
  readonly promptTokensAhead: { readonly live: number; readonly shadow: number };
  /** Time it computed, ms. */
  readonly busyMs: number;
  readonly lastError: string | undefined;
  /** The last ones, newest first. */
  readonly disagreements: readonly ShadowDisagreement[];
}

/** All shadows of the process. */
export interface Shadows {
  reports(): readonly ShadowReport[];
}
