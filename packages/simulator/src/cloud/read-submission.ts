/** Reads `POST /v1/image-queries`. */
import type { HumanReview } from "./records.ts";
import { invalid, readMetadata, refused } from "./reply.ts";
import type { CloudCall, Reply } from "./reply.ts";

/** A picture that was sent in, and how it is to be looked at. */
export interface Submission {
  /** As the caller gave it. */
  readonly imageQueryId: string | undefined;
  readonly detectorId: string;
  readonly patienceTime: number | undefined;
  readonly confidenceThreshold: number | undefined;
  readonly humanReview: HumanReview;
  readonly inspectionId: string | undefined;
  readonly metadata: Readonly<Record<string, unknown>> | null;
  readonly wantAsync: boolean;
  readonly contentType: string;
}

const MAGIC = ["ffd8ff", "89504e47", "474946", "52494646", "424d", "00000100"];
const REVIEWS: readonly HumanReview[] = ["DEFAULT", "ALWAYS", "NEVER"];

/** The submission, or why it is refused. */
export function readSubmission(call: CloudCall): Submission | Reply {
  const { query } = call;
  const contentType = call.headers["content-type"] ?? "";
  const patienceTime = readNumber(query.get("patience_time"), 3600);
  const confidenceThreshold = readNumber(query.get("confidence_threshold"), 1);
  const humanReview = REVIEWS.find((each) => each === (query.get("human_review") ?? "DEFAULT"));
  const metadata = query.has("metadata") ? readMetadata(query.get("metadata") ?? "") : null;
  const imageQueryId = query.get("image_query_id") ?? undefined;
  const detectorId = query.get("detector_id") ?? "";
  if (!contentType.startsWith("image/"))
    return refused(415, `Unsupported media type "${contentType}" in request.`);
  if (detectorId === "") return invalid("detector_id", "This field is required.");
  if (typeof patienceTime === "string") return invalid("patience_time", patienceTime);
  if (typeof confidenceThreshold === "string") return invalid("confidence_threshold", confidenceThreshold);
  if (humanReview === undefined)
    return invalid("human_review", `"${query.get("human_review")}" is not a valid choice.`);
  if (metadata === undefined)
    return invalid("metadata", "Not base64 of a JSON object of at most 1024 characters.");
  if (imageQueryId !== undefined && !/^(?:iq|chk)_[A-Za-z0-9]{1,40}$/.test(imageQueryId))
    return invalid("image_query_id", "Not an id of an image query.");
  if (!isPicture(call.rawBody)) return refused(400, "The request body is no picture of a known format.");
  return {
    imageQueryId,
    detectorId,
    patienceTime,
    confidenceThreshold,
    humanReview,
    inspectionId: query.get("inspection_id") ?? undefined,
    metadata,
    wantAsync: /^(?:true|1)$/i.test(query.get("want_async") ?? ""),
    contentType,
  };
}

/** By its first bytes: JPEG, PNG, GIF, WebP, BMP or ICO. */
function isPicture(bytes: Buffer): boolean {
  const head = bytes.toString("hex", 0, 4);
  return MAGIC.some((each) => head.startsWith(each));
}

/** The number, undefined where there is none, or what is wrong with it. */
function readNumber(given: string | null, most: number): number | string | undefined {
  if (given === null) return undefined;
  const value = given.trim() === "" ? NaN : Number(given);
  if (!Number.isFinite(value)) return "A valid number is required.";
  if (value < 0) return "Ensure this value is greater than or equal to 0.";
  return value > most ? `Ensure this value is less than or equal to ${most}.` : value;
}
