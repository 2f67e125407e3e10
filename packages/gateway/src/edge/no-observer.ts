/** For an edge endpoint that nobody counts. */
import type { EdgeObserver } from "../contracts/edge-observer.ts";

/** Hears and forgets. */
export const noObserver: EdgeObserver = { answered() {}, compared() {}, delivered() {} };
