/** Answers image queries: finds the detector, then runs the query. */
import { isFailure, type Failure } from "../core/errors.ts";
import type { WireAnswer } from "../core/wire-answer.ts";
import { findDetector, type LearnDeps } from "./detectors/learn.ts";
import type { ReadyDetector } from "./detectors/registry.ts";
import type { QueryCall, QueryDeps } from "./query-deps.ts";
import { QueryRun } from "./query-run.ts";

/** What it needs. */
export type AnswerDeps = QueryDeps & LearnDeps;

/** The answer in Groundlight's words, or a refusal. */
export function answerQuery(
  deps: AnswerDeps,
  call: QueryCall,
): WireAnswer | Failure | Promise<WireAnswer | Failure> {
  const token = deps.hasDeviceToken ? undefined : call.token;
  const { requestId, cancellation } = call;
  const found = findDetector(deps, call.submission.detectorId, { token, requestId, cancellation });
  if (found instanceof Promise) return found.then((later) => run(deps, call, later));
  return run(deps, call, found);
}

function run(
  deps: AnswerDeps,
  call: QueryCall,
  known: ReadyDetector | Failure,
): Failure | Promise<WireAnswer | Failure> {
  if (isFailure(known)) return known;
  return new QueryRun(deps, call, known).now();
}
