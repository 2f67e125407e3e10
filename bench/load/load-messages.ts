/** The words between a load process and its parent. */
import type { LoadPhase } from "./driver.ts";
import type { LoadResult } from "./load-result.ts";
import type { LoadSpec } from "./load-spec.ts";

/** What the parent says: once `run`, then perhaps `stop`. */
export type LoadOrder = { readonly type: "run"; readonly spec: LoadSpec } | { readonly type: "stop" };

/** What the load process says. It ends after `result` or `error`. */
export type LoadMessage =
  | { readonly type: "phase"; readonly phase: LoadPhase }
  | { readonly type: "result"; readonly result: LoadResult }
  | { readonly type: "error"; readonly message: string };
