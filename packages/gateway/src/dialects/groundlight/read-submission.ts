/** Reads `POST /image-queries`: the query string, the content type, the picture. */
import { humanReviews, type HumanReview, type QuerySubmission } from "../../core/detector.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { headerValue, type HeaderMap } from "../../core/headers.ts";
import { readMetadata } from "./metadata.ts";
import { readQueryString, type QueryParameters } from "./query-string.ts";

/** Every query parameter of the call (OpenAPI 0.18: `submitImageQuery`). */
export const submissionParameters = [
  "detector_id",
  "patience_time",
  "confidence_threshold",
  "human_review",
  "want_async",
  "inspection_id",
  "metadata",
  "image_query_id",
] as const;

const maxDetectorIdLength = 100;
const maxInspectionIdLength = 256;

/** The question without its picture. `query` has no `?`. Refused are unknown parameters and ones given twice too. */
export function readSubmission(query: string, headers: HeaderMap): QuerySubmission | Failure {
  const mediaType = readMediaType(headers);
  if (typeof mediaType !== "string") return mediaType;
  const given = readQueryString(query, submissionParameters);
  if (isFailure(given)) return given;
  const detectorId = given.get("detector_id") ?? "";
  if (detectorId === "") return refuse("detector_id", "is required");
  if (detectorId.length > maxDetectorIdLength) return refuse("detector_id", "is too long to be an id");
  return readParameters(detectorId, given);
}

function readParameters(detectorId: string, given: QueryParameters): QuerySubmission | Failure {
  const patienceTime = readNumber(given, "patience_time", 3_600);
  if (isRefusal(patienceTime)) return patienceTime;
  const confidenceThreshold = readNumber(given, "confidence_threshold", 1);
  if (isRefusal(confidenceThreshold)) return confidenceThreshold;
  const humanReview = readHumanReview(given.get("human_review"));
  if (typeof humanReview !== "string") return humanReview;
  const wantAsync = readBoolean(given, "want_async");
  if (typeof wantAsync !== "boolean") return wantAsync;
  const inspectionId = given.get("inspection_id");
  if (inspectionId !== undefined && inspectionId.length > maxInspectionIdLength)
    return refuse("inspection_id", `has more than ${maxInspectionIdLength} characters`);
  const imageQueryId = given.get("image_query_id");
  if (imageQueryId !== undefined && !isImageQueryId(imageQueryId))
    return refuse("image_query_id", "must be iq_ followed by up to 40 letters and digits");
  const metadata = given.get("metadata");
  const read = metadata === undefined ? undefined : readMetadata(metadata);
  if (read !== undefined && !("metadata" in read)) return read;
  return {
    detectorId,
    patienceTime,
    confidenceThreshold,
    humanReview,
    wantAsync,
    metadata: read?.metadata,
    inspectionId: inspectionId === "" ? undefined : inspectionId,
    imageQueryId,
  };
}

/** True for ids that callers may choose: those of image queries, and of checks as older clients call them. */
export function isImageQueryId(id: string): boolean {
  return /^(?:iq|chk)_[A-Za-z0-9]{1,40}$/.test(id);
}

/** The body's media type in lower case and without parameters: a picture's, or multipart/form-data. */
export function readMediaType(headers: HeaderMap): string | Failure {
  const given = headerValue(headers, "content-type") ?? "";
  const [type = ""] = given.split(";", 1);
  const mediaType = type.trim().toLowerCase();
  if (/^image\/[\w!#$&^.+-]{1,64}$/.test(mediaType) || mediaType === "multipart/form-data") return mediaType;
  return failure(
    "unsupported_media_type",
    `The content type must be image/… or multipart/form-data, got ${given === "" ? "none" : JSON.stringify(given.slice(0, 100))}; curl needs -H 'content-type: image/jpeg'`,
  );
}

function readNumber(given: QueryParameters, name: string, max: number): number | undefined | Failure {
  const text = given.get(name);
  if (text === undefined) return undefined;
  // JavaScript reads more as numbers than Python's float: 0x10, 1n and the empty text are none.
  const value = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text.trim()) ? Number(text) : NaN;
  return value >= 0 && value <= max ? value : refuse(name, `must be a number from 0 to ${max}`);
}

function isRefusal(value: number | undefined | Failure): value is Failure {
  return typeof value === "object";
}

function readHumanReview(text = "DEFAULT"): HumanReview | Failure {
  return (
    humanReviews.find((word) => word === text) ?? refuse("human_review", `must be ${humanReviews.join(", ")}`)
  );
}

/** The client writes Python's `True`; other spellings are those that pydantic reads. */
function readBoolean(given: QueryParameters, name: string): boolean | Failure {
  const text = (given.get(name) ?? "false").toLowerCase();
  if (/^(?:true|1|t|yes|y|on)$/.test(text)) return true;
  return /^(?:false|0|f|no|n|off)$/.test(text) ? false : refuse(name, "must be true or false");
}

function refuse(field: string, problem: string): Failure {
  return { ...failure("bad_request", `${field} ${problem}`), field };
}
