/** Answers image queries: finds the detector, then runs the query. */
import type { QueryRecord } from "../contracts/edge-records.ts";
import { Cancellation } from "../core/cancellation.ts";
import { isSameDetector } from "../core/detector.ts";
import { failure, isFailure, type Failure } from "../core/errors.ts";
import type { WireAnswer } from "../core/wire-answer.ts";
import { writeImageQuery } from "../dialects/groundlight/image-query.ts";
import { jsonAnswer } from "../dialects/json-answer.ts";
import { findDetector, type LearnDeps } from "./detectors/learn.ts";
import type { ReadyDetector } from "./detectors/registry.ts";
import type { QueryCall, QueryDeps } from "./query-deps.ts";
import { QueryRun } from "./query-run.ts";
import { readQueryRecord } from "./read-record.ts";

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
  if (found instanceof Promise) {
    return found.then((later) => {
      cancellation.listen(undefined);
      return run(deps, call, later);
    });
  }
  return run(deps, call, found);
}

function run(
  deps: AnswerDeps,
  call: QueryCall,
  known: ReadyDetector | Failure,
): Failure | Promise<WireAnswer | Failure> {
  if (isFailure(known)) return known;
  const { imageQueryId, wantAsync } = call.submission;
  if (imageQueryId !== undefined) return runOnce(deps, call, known);
  const query = new QueryRun(deps, call, known);
  return wantAsync ? query.later() : query.now();
}

/** A query whose id its caller chose, and may send twice: the second time it is told what became of the first. */
async function runOnce(
  deps: AnswerDeps,
  call: QueryCall,
  known: ReadyDetector,
): Promise<WireAnswer | Failure> {
  const stored = await deps.store.query(call.submission.imageQueryId ?? "");
  const record = stored === undefined || isFailure(stored) ? undefined : readQueryRecord(stored.record);
  if (record !== undefined) {
    if (isSameDetector(record.query.detectorId, known.detector.id))
      return jsonAnswer(200, writeImageQuery(record.query));
    return failure(
      "bad_request",
      `image_query_id belongs to a query of the detector ${record.query.detectorId}`,
    );
  }
  const query = new QueryRun(deps, call, known);
  return call.submission.wantAsync ? query.later() : query.now();
}

/** Promised answers of earlier processes are looked for among so many of the newest queries. */
const resumeWithin = 1_000;

/** Goes on with what earlier processes promised to answer and did not. */
export async function resumePromised(deps: AnswerDeps): Promise<number> {
  const page = await deps.store.queries({ offset: 0, limit: resumeWithin });
  if (isFailure(page)) return 0;
  let resumed = 0;
  for (const { record, createdAt } of page.queries.toReversed()) {
    const read = readQueryRecord(record);
    if (read?.pending !== undefined && (await resumeOne(deps, read, createdAt))) resumed += 1;
  }
  return resumed;
}

async function resumeOne(
  deps: AnswerDeps,
  { query, pending }: QueryRecord,
  createdAt: number,
): Promise<boolean> {
  const known = deps.registry.find(query.detectorId);
  const picture = await deps.store.picture(query.id);
  if (pending === undefined || known?.detector === undefined || picture === undefined || isFailure(picture))
    return false;
  const call: QueryCall = {
    submission: {
      detectorId: query.detectorId,
      patienceTime: query.patienceTime,
      confidenceThreshold: query.confidenceThreshold,
      humanReview: pending.humanReview,
      wantAsync: true,
      metadata: pending.metadata,
      inspectionId: pending.inspectionId,
      imageQueryId: query.id,
    },
    picture: picture.bytes,
    mediaType: picture.mediaType,
    caller: { id: "local", scopes: ["infer"] },
    requestId: deps.random.id(),
    receivedAt: deps.clock.now(),
    cancellation: new Cancellation(),
    token: undefined,
    promisedAt: createdAt,
  };
  new QueryRun(deps, call, { ...known, detector: known.detector }).finishLater();
  return true;
}
