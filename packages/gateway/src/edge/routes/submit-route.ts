/** `POST /image-queries`. */
import type { HttpCall, Route, RouteResult } from "../../contracts/route.ts";
import { failure, isFailure } from "../../core/errors.ts";
import { headerValue } from "../../core/headers.ts";
import { readPicture } from "../../dialects/groundlight/read-picture.ts";
import { readSubmission } from "../../dialects/groundlight/read-submission.ts";
import type { answerQuery } from "../answer-query.ts";
import type { QueryCall } from "../query-deps.ts";
import { apiRoutes, cloudToken } from "./edge-route.ts";

/** The largest picture, with its form, bytes: what the cloud takes. */
const maxPictureBytes = 10 * 1024 * 1024;

/** Answers a checked query; `repeatable` is the query string of a call that its client may send again under the same id. */
export type Answering = (call: QueryCall, repeatable: string | undefined) => ReturnType<typeof answerQuery>;

/** The routes. */
export function createSubmitRoutes(answer: Answering): Route[] {
  return apiRoutes({
    method: "POST",
    path: "/image-queries",
    scope: "infer",
    body: "bytes",
    handle: (call) => submit(answer, call),
  });
}

function submit(answer: Answering, call: HttpCall): RouteResult | Promise<RouteResult> {
  const submission = readSubmission(call.query, call.headers);
  if (isFailure(submission)) return submission;
  if (call.body.byteLength > maxPictureBytes)
    return failure(
      "body_too_large",
      `The picture has ${call.body.byteLength} bytes; at most ${maxPictureBytes} are taken`,
    );
  const picture = readPicture(call.headers, call.body);
  if (isFailure(picture)) return picture;
  const query: QueryCall = {
    submission,
    picture: picture.bytes,
    mediaType: picture.mediaType,
    caller: call.caller,
    requestId: call.requestId,
    receivedAt: call.receivedAt,
    cancellation: call.cancellation,
    token: cloudToken(call),
  };
  // The id of a query names a repetition by itself.
  const isNamed = headerValue(call.headers, "x-request-id") === call.requestId;
  return answer(query, isNamed && submission.imageQueryId === undefined ? call.query : undefined);
}
