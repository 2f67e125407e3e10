/** What a request that cannot be answered well is told over HTTP. */
import { writePlainFailure } from "../../contracts/plain-failure.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { HeaderMap } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/request.ts";
import type { RouteMatch } from "./router.ts";
import { retryAfterSeconds } from "./write-answer.ts";

/** Whose failure it is. */
export interface FailedRequest {
  /** What its path led to; undefined where that was not asked. */
  readonly match: RouteMatch | undefined;
  readonly requestId: string;
  readonly headers: HeaderMap;
  /** Hears of what a dialect threw while it wrote the failure. */
  readonly onFault: (error: unknown) => void;
}

/** Why no route takes the request. */
export function unroutedFailure(
  match: Exclude<RouteMatch, { kind: "found" }>,
  method: string,
  path: string,
): Failure {
  switch (match.kind) {
    case "malformed":
      return failure("bad_request", "The path is not valid percent-encoded UTF-8");
    case "no_path":
      return failure(
        "not_found",
        `Nothing is served at ${path.slice(0, 200)}${match.meant === undefined ? "" : `; did you mean ${match.meant}?`}`,
      );
    case "no_method":
      return failure("method_not_allowed", `${method} is not taken here; allowed: ${match.allow}`);
  }
}

/** The failure as an answer, with its headers, `Retry-After` and `Allow` where they belong. */
export function failureAnswer(reason: Failure, request: FailedRequest): WireAnswer {
  const { match } = request;
  const answer = inDialect(reason, request);
  const more = [...(reason.headers ?? [])];
  const retryAfter = retryAfterSeconds(answer.status, reason);
  if (retryAfter !== undefined) more.push(["retry-after", retryAfter]);
  if (match?.kind === "no_method") more.push(["allow", match.allow]);
  return more.length === 0 ? answer : { ...answer, headers: [...answer.headers, ...more] };
}

/** In the words of the API that the request is meant for. */
function inDialect(reason: Failure, { match, requestId, headers, onFault }: FailedRequest): WireAnswer {
  const write = match?.kind === "found" ? match.compiled.route.writeFailure : match?.writeFailure;
  try {
    return (write ?? writePlainFailure)(reason, requestId, headers);
  } catch (error) {
    onFault(error);
    return writePlainFailure(reason);
  }
}
