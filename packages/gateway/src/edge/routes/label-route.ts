/** `POST /labels`: what a person says of a picture. Kept here first, then it goes to the cloud, after its query where that has not. */
import type { Cloud, CloudLabelSubmission } from "../../contracts/cloud.ts";
import type { EdgeObserver } from "../../contracts/edge-observer.ts";
import type { LabelPayload, QueryPayload, QueryRecord } from "../../contracts/edge-records.ts";
import type { EdgeStore, StoredQuery } from "../../contracts/edge-store.ts";
import type { HttpCall, Route, RouteResult } from "../../contracts/route.ts";
import type { Clock } from "../../core/clock.ts";
import type { Finding } from "../../core/detector.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { readLabel, writeLabelAnswer } from "../../dialects/groundlight/image-query.ts";
import { findingOfLabel } from "../../dialects/groundlight/result.ts";
import { jsonAnswer } from "../../dialects/json-answer.ts";
import type { DetectorRegistry } from "../detectors/registry.ts";
import type { Forwarding } from "../forward.ts";
import { readQueryRecord } from "../read-record.ts";
import { sameFinding } from "../same-finding.ts";
import { apiRoutes } from "./edge-route.ts";
import { readJsonBody } from "./read-json-body.ts";

/** What the route needs. */
export interface LabelDeps {
  readonly store: EdgeStore;
  readonly cloud: Cloud | undefined;
  readonly forwarding: Forwarding;
  readonly registry: DetectorRegistry;
  readonly observer: EdgeObserver;
  readonly clock: Clock;
  readonly random: Random;
}

/** The routes. */
export function createLabelRoutes(deps: LabelDeps): Route[] {
  return apiRoutes({
    method: "POST",
    path: "/labels",
    scope: "infer",
    body: "bytes",
    handle: (call) => addLabel(deps, call),
  });
}

async function addLabel(deps: LabelDeps, call: HttpCall): Promise<RouteResult> {
  const body = readJsonBody(call);
  if (isFailure(body)) return body;
  const label = readLabel(body.value);
  if (isFailure(label)) return label;
  const stored = await deps.store.query(label.imageQueryId);
  if (stored === undefined && deps.cloud !== undefined) return deps.forwarding.answer(call, "unknown_query");
  if (stored === undefined)
    return failure("not_found", `No image query ${label.imageQueryId} came through here`);
  if (isFailure(stored)) return stored;
  const record = readQueryRecord(stored.record);
  if (record === undefined)
    return failure("storage_unavailable", "The record of the image query cannot be read");
  const finding = findingOfLabel(detectorOf(deps, record), label.label);
  if (isFailure(finding)) return finding;
  const refused = await keep(deps, { stored, record, label, finding });
  if (refused !== undefined) return refused;
  return jsonAnswer(
    201,
    writeLabelAnswer({
      label: label.label,
      rois: label.rois,
      mode: record.query.mode,
      createdAt: new Date(deps.clock.wallNow()).toISOString(),
    }),
  );
}

function detectorOf({ registry }: LabelDeps, { query }: QueryRecord) {
  return registry.find(query.detectorId)?.detector ?? { mode: query.mode, modeConfiguration: {} };
}

interface Labelled {
  readonly stored: StoredQuery;
  readonly record: QueryRecord;
  readonly label: CloudLabelSubmission;
  readonly finding: Finding;
}

/** A label is promised: it is on the disk when its giver hears so. */
async function keep(deps: LabelDeps, labelled: Labelled): Promise<Failure | undefined> {
  const { store, cloud, clock, random } = deps;
  const { stored, label, record, finding } = labelled;
  const id = `lbl_${random.id()}`;
  const payload: LabelPayload = {
    imageQueryId: label.imageQueryId,
    label: label.label,
    rois: label.rois,
  };
  const text = JSON.stringify(payload);
  const kept = await store.keepLabel({ id, queryId: stored.id, createdAt: clock.wallNow(), record: text });
  if (kept !== undefined) return kept;
  store.keepQuery({ ...stored, record: JSON.stringify(withLabel(labelled)) });
  compare(deps, record, finding);
  if (cloud === undefined) return undefined;
  const sent = record.escalation === undefined ? await sendQuery(deps, labelled) : undefined;
  if (sent !== undefined) return sent;
  const enqueued = await store.outbox.enqueue({
    id,
    detectorId: stored.detectorId,
    kind: "label",
    payload: text,
  });
  return typeof enqueued === "string" ? undefined : enqueued;
}

/** What a person says is the answer from now on. */
function withLabel({ record, label, finding }: Labelled): QueryRecord {
  const { query } = record;
  const text = finding.mode === "TEXT" ? finding.text : query.text;
  return {
    ...record,
    query: {
      ...query,
      result: { finding, confidence: 1, source: "USER", fromEdge: false },
      rois: label.rois ?? query.rois,
      text,
      doneProcessing: true,
    },
    pending: undefined,
  };
}

/** The cloud can take a label only for a query that it has. Without its picture there is nothing to send. */
async function sendQuery(
  { store, registry }: LabelDeps,
  { stored, record }: Labelled,
): Promise<Failure | undefined> {
  const picture = await store.picture(stored.id);
  if (picture === undefined)
    return failure("not_found", "The picture of this image query is not kept any more");
  if (isFailure(picture)) return picture;
  const { query } = record;
  const payload: QueryPayload = {
    detectorId: registry.find(query.detectorId)?.detector?.id ?? query.detectorId,
    imageQueryId: query.id,
    patienceTime: query.patienceTime,
    confidenceThreshold: query.confidenceThreshold,
    humanReview: "NEVER",
    inspectionId: undefined,
    metadata: undefined,
    reason: "human_review",
    local: record.local,
  };
  const enqueued = await store.outbox.enqueue({
    id: query.id,
    detectorId: stored.detectorId,
    kind: "query",
    payload: JSON.stringify(payload),
  });
  return typeof enqueued === "string" ? undefined : enqueued;
}

function compare({ observer }: LabelDeps, { query, local }: QueryRecord, finding: Finding): void {
  if (local === undefined) return;
  const { rawConfidence, confidence, model } = local;
  observer.compared({
    queryId: query.id,
    detectorId: query.detectorId,
    at: Date.parse(query.createdAt),
    kind: "label",
    edge: { finding: local.finding, rawConfidence, confidence, model },
    cloud: { finding, confidence: 1 },
    agreed: sameFinding(local.finding, finding),
  });
}
