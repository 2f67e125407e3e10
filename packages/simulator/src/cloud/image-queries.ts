/** The image queries that the cloud has, and the routes under `/v1/image-queries` and `/v1/labels`. */
import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import { fields, isFields, items, number, text } from "../faces/fields.ts";
import type { Random } from "../random.ts";
import { decideAnswer, isReviewed, resultTypeOf, standingOf, writeResult, writeRois } from "./answers.ts";
import type { CloudLabel, CloudQuery } from "./records.ts";
import type { CloudOptions, CloudRoi } from "./cloud-options.ts";
import { isDetector, mayLabel } from "./detectors.ts";
import type { CloudDetector, DetectorBook } from "./detectors.ts";
import { makeId } from "./ids.ts";
import { readSubmission } from "./read-submission.ts";
import type { Submission } from "./read-submission.ts";
import { forbidden, invalid, notFound, pageOf } from "./reply.ts";
import type { CloudCall, Reply } from "./reply.ts";

/** What queries need of the world. */
export interface QueryContext {
  readonly options: CloudOptions;
  readonly detectors: DetectorBook;
  readonly clock: Clock;
  readonly random: Random;
  readonly seed: number;
}

const MAX_LABELS = 10_000;
const PLACE = "/device-api/v1/image-queries";

/** All queries and labels in the order they came; bounded as the options say. */
export class QueryBook {
  readonly #byId = new Map<string, CloudQuery>();
  readonly #labels: CloudLabel[] = [];
  readonly #context: QueryContext;
  #pictureBytes = 0;

  constructor(context: QueryContext) {
    this.#context = context;
  }

  /** Every query, oldest first. */
  all(): readonly CloudQuery[] {
    return [...this.#byId.values()];
  }

  /** By id. */
  find(id: string): CloudQuery | undefined {
    return this.#byId.get(id);
  }

  /** Every label, oldest first. */
  labels(): readonly CloudLabel[] {
    return this.#labels;
  }

  /** Forgets everything. */
  clear(): void {
    this.#byId.clear();
    this.#labels.length = 0;
    this.#pictureBytes = 0;
  }

  /** `POST /v1/image-queries`: 201. The same `image_query_id` again is the same query. */
  submit(call: CloudCall): Reply {
    const submission = readSubmission(call);
    if (!("detectorId" in submission)) return submission;
    const detector = this.#context.detectors.own(call, submission.detectorId);
    if (!isDetector(detector)) return detector;
    const known = this.#byId.get(submission.imageQueryId ?? "");
    if (known !== undefined && known.account !== call.caller.account) return forbidden();
    if (known !== undefined && known.detectorId !== detector.id)
      return invalid("image_query_id", "This id belongs to a query of another detector.");
    const query = known ?? this.#keep(call, submission, detector);
    query.sent += 1;
    query.requestIds.push(String(call.headers["x-request-id"] ?? ""));
    if (query.requestIds.length > 16) query.requestIds.shift();
    const written = this.#write(query, detector);
    return {
      status: 201,
      json: query.wantAsync ? { ...written, result: null, rois: null, text: null } : written,
    };
  }

  /** `GET /v1/image-queries/:id`. */
  get(call: CloudCall): Reply {
    const query = this.#own(call);
    if (!("account" in query)) return query;
    const detector = this.#context.detectors.find(query.detectorId);
    return detector === undefined ? notFound() : { json: this.#write(query, detector) };
  }

  /** `GET /v1/image-queries?detector_id=&page=&page_size=`: the newest first. */
  list(call: CloudCall): Reply {
    const wanted = call.query.get("detector_id")?.toLowerCase();
    const mine = this.all()
      .filter(({ account }) => account === call.caller.account)
      .filter(({ detectorId }) => wanted === undefined || detectorId.toLowerCase() === wanted)
      .flatMap((query) => {
        const detector = this.#context.detectors.find(query.detectorId);
        return detector === undefined ? [] : [{ query, detector }];
      });
    return pageOf(call, PLACE, mine.toReversed(), ({ query, detector }) => this.#write(query, detector));
  }

  /** `GET /v1/image-queries/:id/image`: the bytes that were sent. */
  picture(call: CloudCall): Reply {
    const query = this.#own(call);
    if (!("account" in query)) return query;
    const { picture, contentType } = query;
    return picture === undefined ? notFound() : { bytes: picture, headers: { "content-type": contentType } };
  }

  /** `POST /v1/labels`: the label becomes the query's answer. */
  label(call: CloudCall): Reply {
    const body = fields(call.body);
    const id = text(body["image_query_id"]) ?? text(body["posicheck_id"]);
    if (id === undefined) return invalid("image_query_id", "This field is required.");
    const query = this.#own(call, id);
    if (!("account" in query)) return query;
    const detector = this.#context.detectors.find(query.detectorId);
    if (detector === undefined) return notFound();
    const label = text(body["label"]);
    const rois = readRois(body["rois"]);
    if (label === undefined || !mayLabel(detector, label))
      return invalid("label", `${JSON.stringify(body["label"])} is not a label of this detector.`);
    if (rois === undefined) return invalid("rois", "Not a list of labelled boxes.");
    const receivedAt = this.#context.clock.wallNow();
    const { id: queryId, detectorId } = query;
    const given: CloudLabel = { queryId, detectorId, label, rois, receivedAt, token: call.caller.name };
    query.label = given;
    this.#labels.push(given);
    if (this.#labels.length > MAX_LABELS) this.#labels.shift();
    return { status: 201, json: writeLabel(given, detector) };
  }

  /** `DELETE /v1/detector-reset/:id`: the detector forgets its queries. */
  reset(call: CloudCall): Reply {
    const detector = this.#context.detectors.own(call, call.path["id"] ?? "");
    if (!isDetector(detector)) return detector;
    for (const query of this.all()) if (query.detectorId === detector.id) this.#forget(query);
    return { status: 204 };
  }

  /** `GET /v1/month-to-date-account-info`, of what is kept. */
  account({ caller }: CloudCall): Reply {
    const mine = this.all().filter(({ account }) => account === caller.account);
    const escalated = mine.filter((query) => {
      const detector = this.#context.detectors.find(query.detectorId);
      return detector !== undefined && isReviewed(query, detector);
    });
    const { limits = {} } = this.#context.options;
    return {
      json: {
        iqs: mine.length,
        escalations: escalated.length,
        active_detectors: new Set(mine.map(({ detectorId }) => detectorId)).size,
        iqs_limit: limits.iqs ?? null,
        escalations_limit: limits.escalations ?? null,
        active_detectors_limit: limits.activeDetectors ?? null,
      },
    };
  }

  #own({ caller, path }: CloudCall, id = path["id"] ?? ""): CloudQuery | Reply {
    const query = this.#byId.get(id);
    if (query === undefined) return notFound("No ImageQuery matches the given query.");
    return query.account === caller.account ? query : forbidden();
  }

  #keep(call: CloudCall, submission: Submission, detector: CloudDetector): CloudQuery {
    const { clock, random, options, seed } = this.#context;
    const picture = Buffer.from(call.rawBody);
    const draft: CloudQuery = {
      id: submission.imageQueryId ?? makeId("iq_", random),
      detectorId: detector.id,
      account: call.caller.account,
      token: call.caller.name,
      receivedAt: clock.wallNow(),
      startedAt: clock.now(),
      parameters: Object.fromEntries(call.query),
      metadata: submission.metadata,
      inspectionId: submission.inspectionId,
      patienceTime: submission.patienceTime ?? detector.patienceTime,
      confidenceThreshold: submission.confidenceThreshold ?? detector.confidenceThreshold,
      humanReview: submission.humanReview,
      wantAsync: submission.wantAsync,
      contentType: submission.contentType,
      pictureBytes: picture.length,
      sha256: createHash("sha256").update(picture).digest("hex"),
      answer: { label: "", machineLabel: "", confidence: 0, rois: null },
      sent: 0,
      requestIds: [],
      picture,
      label: undefined,
    };
    const query = { ...draft, answer: decideAnswer(draft, picture, { detector, options, seed }) };
    this.#byId.set(query.id, query);
    this.#pictureBytes += picture.length;
    this.#bound(query);
    return query;
  }

  /** Forgets the oldest queries, and the oldest pictures of those that are left. */
  #bound(newest: CloudQuery): void {
    const { maxQueries = 10_000, maxPictureBytes = 64 * 1024 * 1024 } = this.#context.options;
    for (const query of this.#byId.values()) {
      if (this.#byId.size <= maxQueries || query === newest) break;
      this.#forget(query);
    }
    if (this.#pictureBytes <= maxPictureBytes) return;
    for (const query of this.#byId.values()) {
      if (this.#pictureBytes <= maxPictureBytes || query === newest) break;
      this.#dropPicture(query);
    }
  }

  #forget(query: CloudQuery): void {
    this.#dropPicture(query);
    this.#byId.delete(query.id);
  }

  #dropPicture(query: CloudQuery): void {
    this.#pictureBytes -= query.picture?.length ?? 0;
    query.picture = undefined;
  }

  #write(query: CloudQuery, detector: CloudDetector): object {
    const { options, clock } = this.#context;
    const standing = standingOf(query, detector, { options, now: clock.now() });
    const reads = detector.mode === "TEXT" && standing.source !== "STILL_PROCESSING";
    return {
      metadata: query.metadata,
      id: query.id,
      type: "image_query",
      created_at: new Date(query.receivedAt).toISOString(),
      query: detector.query,
      detector_id: detector.id,
      result_type: resultTypeOf(detector.mode),
      result: writeResult(standing, detector),
      patience_time: query.patienceTime,
      confidence_threshold: query.confidenceThreshold,
      rois: writeRois(standing.rois),
      text: reads ? standing.label : null,
      done_processing: false,
    };
  }
}

/** Boxes of a label, null for none, undefined for what is no list of boxes. */
function readRois(given: unknown): CloudRoi[] | null | undefined {
  if (given === undefined || given === null) return null;
  if (!Array.isArray(given)) return undefined;
  const rois = items(given).map((each) => {
    const { label, score, geometry } = fields(each);
    const [left, top, right, bottom] = ["left", "top", "right", "bottom"].map((side) =>
      number(fields(geometry)[side]),
    );
    if (left === undefined || top === undefined || right === undefined || bottom === undefined)
      return undefined;
    return {
      label: text(label) ?? "",
      score: number(score) ?? 1,
      geometry: { left, top, right, bottom },
    };
  });
  return rois.every((roi) => isFields(roi)) ? rois.filter((roi) => roi !== undefined) : undefined;
}

function writeLabel({ label, rois, receivedAt }: CloudLabel, detector: CloudDetector): object {
  return {
    confidence: 1,
    class_name: label,
    rois: writeRois(rois),
    annotations_requested: [detector.mode === "BOUNDING_BOX" ? "BOUNDING_BOXES" : "BINARY_CLASSIFICATION"],
    created_at: new Date(receivedAt).toISOString(),
    detector_id: null,
    source: "CUST",
    text: detector.mode === "TEXT" ? label : null,
  };
}
