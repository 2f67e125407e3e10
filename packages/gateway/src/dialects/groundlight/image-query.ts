/** Image queries and labels on the wire: ours out, the cloud's in. */
import type { DetectorMode, ImageQuery, JsonObject, Roi } from "../../core/detector.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { CloudLabelSubmission, CloudSubmission } from "../../contracts/cloud.ts";
import { Fields } from "./fields.ts";
import { encodeMetadata } from "./metadata.ts";
import { isImageQueryId } from "./read-submission.ts";
import { modeOfResultType, readResult, readRois, resultTypes, writeResult, writeRois } from "./result.ts";

/** An image query with all keys that clients demand. */
export function writeImageQuery(query: ImageQuery): JsonObject {
  return {
    metadata: query.metadata,
    id: query.id,
    type: "image_query",
    created_at: query.createdAt,
    query: query.query,
    detector_id: query.detectorId,
    result_type: resultTypes[query.mode],
    result: query.result === null ? null : writeResult(query.result),
    patience_time: query.patienceTime,
    confidence_threshold: query.confidenceThreshold,
    rois: writeRois(query.rois),
    text: query.text,
    done_processing: query.doneProcessing,
  };
}

/** An image query of the cloud. `bad_upstream_answer` says what is missing or wrong first. */
export function readImageQuery(json: unknown): ImageQuery | Failure {
  const fields = Fields.of(json, "image query");
  const mode = readMode(fields);
  const result = fields.object("result");
  const query: ImageQuery = {
    id: fields.text("id", 100),
    detectorId: fields.text("detector_id", 100),
    mode,
    query: fields.text("query"),
    createdAt: fields.text("created_at", 100),
    result: result === undefined ? null : readResult(result, mode),
    patienceTime: fields.numberOr("patience_time", 30, { min: 0 }),
    confidenceThreshold: fields.numberOr("confidence_threshold", 0.9, { min: 0, max: 1 }),
    rois: readRois(fields) ?? null,
    text: fields.textOr("text", undefined) ?? null,
    doneProcessing: fields.booleanOr("done_processing", false),
    metadata: fields.json("metadata"),
  };
  return fields.failure("bad_upstream_answer") ?? query;
}

function readMode(fields: Fields): DetectorMode {
  const mode = modeOfResultType(fields.raw("result_type"));
  if (mode === undefined)
    fields.wrong("result_type", `must be one of ${Object.values(resultTypes).join(", ")}`);
  return mode ?? "BINARY";
}

/** Query string of a submission to the cloud, without `?`. */
export function writeSubmissionQuery(submission: CloudSubmission): string {
  const query = new URLSearchParams({ detector_id: submission.detectorId });
  const { patienceTime, confidenceThreshold, humanReview, metadata, inspectionId } = submission;
  if (patienceTime !== undefined) query.set("patience_time", String(patienceTime));
  if (confidenceThreshold !== undefined) query.set("confidence_threshold", String(confidenceThreshold));
  if (humanReview !== "DEFAULT") query.set("human_review", humanReview);
  if (submission.wantAsync) query.set("want_async", "True");
  if (inspectionId !== undefined && inspectionId !== "") query.set("inspection_id", inspectionId);
  if (metadata !== undefined) query.set("metadata", encodeMetadata(metadata));
  query.set("image_query_id", submission.imageQueryId);
  return query.toString();
}

const maxLabelLength = 1_000;

/** Body of `POST /labels` as JSON. */
export function readLabel(body: unknown): CloudLabelSubmission | Failure {
  const fields = Fields.of(body, "label");
  const imageQueryId = fields.text("image_query_id", 100);
  if (imageQueryId !== "" && !isImageQueryId(imageQueryId))
    fields.wrong("image_query_id", "must be the id of an image query: iq_ and letters and digits");
  // The client writes counts as texts; people write numbers.
  const given = fields.raw("label");
  const label = Number.isInteger(given) ? String(given) : fields.text("label", maxLabelLength);
  const rois = readRois(fields);
  return fields.failure("bad_request") ?? { imageQueryId, label, rois };
}

/** Body of `POST /labels` for the cloud. */
export function writeLabel({ imageQueryId, label, rois }: CloudLabelSubmission): JsonObject {
  return { label, image_query_id: imageQueryId, rois: rois === undefined ? null : writeRois(rois) };
}

/** A label that was taken. */
export interface LabelAnswer {
  readonly label: string;
  readonly rois: readonly Roi[] | undefined;
  readonly mode: DetectorMode;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
}

/** Answer of `POST /labels`, 201. */
export function writeLabelAnswer({ label, rois, mode, createdAt }: LabelAnswer): JsonObject {
  return {
    confidence: 1,
    class_name: label,
    rois: writeRois(rois ?? null),
    annotations_requested: [mode === "BOUNDING_BOX" ? "BOUNDING_BOXES" : "BINARY_CLASSIFICATION"],
    created_at: createdAt,
    detector_id: null,
    source: "CUST",
    text: mode === "TEXT" ? label : null,
  };
}

/** A page of the cloud's lists. */
export function readPage<T>(
  json: unknown,
  read: (item: unknown) => T | Failure,
): { readonly count: number; readonly results: readonly T[] } | Failure {
  const fields = Fields.of(json, "list");
  const count = fields.number("count", { min: 0, integer: true });
  const items = fields.items("results", 1_000);
  if (items === undefined) fields.wrong("results", "is missing");
  const wrong = fields.failure("bad_upstream_answer");
  if (wrong !== undefined) return wrong;
  const results: T[] = [];
  for (const [at, item] of (items ?? []).entries()) {
    const result = read(item);
    if (typeof result === "object" && result !== null && isFailure(result))
      return failure("bad_upstream_answer", `list: results[${at}]: ${result.message}`);
    results.push(result);
  }
  return { count, results };
}

/** What a page is written from. */
export interface PageToWrite {
  readonly results: readonly JsonObject[];
  /** Of all pages. */
  readonly count: number;
  /** From 1. */
  readonly page: number;
  readonly pageSize: number;
  /** Address of the list as the caller knows it, without its query. */
  readonly url: string;
  /** The caller's query string without `?`. */
  readonly query: string;
}

/** A page with the addresses of its neighbours. */
export function writePage({ results, count, page, pageSize, url, query }: PageToWrite): JsonObject {
  const link = (to: number): string => {
    const parameters = new URLSearchParams(query);
    parameters.set("page", String(to));
    return `${url}?${parameters.toString()}`;
  };
  return {
    count,
    next: page * pageSize < count ? link(page + 1) : null,
    previous: page > 1 ? link(page - 1) : null,
    results,
  };
}
