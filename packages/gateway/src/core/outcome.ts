/** How requests end. A closed union: the values are metric labels. */
import type { ErrorCode } from "./errors.ts";

/** Success, or the failure the caller was answered with. */
export type Outcome = "ok" | ErrorCode;
