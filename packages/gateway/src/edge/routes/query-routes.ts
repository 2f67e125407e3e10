/** `GET /image-queries`, `/image-queries/{id}`, `/image-queries/{id}/image`: what came through here, and what the cloud has. */
import { isCloudFailure, type Cloud } from "../../contracts/cloud.ts";
import type { QueryRecord } from "../../contracts/edge-records.ts";
import type { EdgeStore, StoredQuery } from "../../contracts/edge-store.ts";
import { wireAnswer, type HttpCall, type Route, type RouteResult } from "../../contracts/route.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { WireAnswer } from "../../core/wire-answer.ts";
import { writeImageQuery, writePage } from "../../dialects/groundlight/image-query.ts";
import { readImageQueryListing } from "../../dialects/groundlight/query-string.ts";
import { jsonAnswer } from "../../dialects/json-answer.ts";
import type { DetectorRegistry } from "../detectors/registry.ts";
import { withCloudAnswer } from "../escalation/merge-answer.ts";
import type { Forwarding } from "../forward.ts";
import { readQueryRecord } from "../read-record.ts";
import { apiRoutes, cloudToken, listUrl } from "./edge-route.ts";

/** What the routes need. */
export interface QueryRouteDeps {
  readonly store: EdgeStore;
  readonly cloud: Cloud | undefined;
  readonly forwarding: Forwarding;
  readonly registry: DetectorRegistry;
  readonly hasDeviceToken: boolean;
}

/** How long the cloud may take to tell a newer answer, ms: clients poll, and an older answer is at hand. */
const refreshTimeoutMs = 3_000;

/** The routes. */
export function createQueryRoutes(deps: QueryRouteDeps): Route[] {
  const read = { method: "GET", scope: "infer", body: "none" } as const;
  return [
    ...apiRoutes({ ...read, path: "/image-queries", handle: (call) => list(deps, call) }),
    ...apiRoutes({ ...read, path: "/image-queries/{id}", handle: (call) => getOne(deps, call) }),
    ...apiRoutes({ ...read, path: "/image-queries/{id}/image", handle: (call) => getPicture(deps, call) }),
  ];
}

/** Those that came through here, the newest first. */
async function list(deps: QueryRouteDeps, call: HttpCall): Promise<RouteResult> {
  const wanted = readImageQueryListing(call.query);
  if (isFailure(wanted)) return wanted;
  const { page, pageSize, detectorId } = wanted;
  const id =
    detectorId === undefined ? undefined : (deps.registry.find(detectorId)?.detector?.id ?? detectorId);
  const found = await deps.store.queries({
    ...(id !== undefined && { detectorId: id }),
    offset: (page - 1) * pageSize,
    limit: pageSize,
  });
  if (isFailure(found)) return found;
  const results = found.queries.flatMap(({ record }) => {
    const read = readQueryRecord(record);
    return read === undefined ? [] : [writeImageQuery(read.query)];
  });
  const written = writePage({
    results,
    count: found.total,
    page,
    pageSize,
    url: listUrl(call),
    query: call.query,
  });
  return jsonAnswer(200, written);
}

async function getOne(deps: QueryRouteDeps, call: HttpCall): Promise<RouteResult> {
  const { id = "" } = call.params;
  const stored = await storedQuery(deps, id);
  if (stored === undefined) return askCloud(deps, call, id);
  if (isFailure(stored)) return deps.cloud === undefined ? stored : askCloud(deps, call, id);
  const record = readQueryRecord(stored.record);
  if (record === undefined) return askCloud(deps, call, id);
  const newer = mayBeNewer(record) ? await refreshed(deps, call, stored) : undefined;
  return jsonAnswer(200, writeImageQuery(newer?.query ?? record.query));
}

/** True for a query that the cloud has, or is to have, and that may get a better answer there. */
function mayBeNewer({ query, escalation }: QueryRecord): boolean {
  return (
    escalation !== undefined &&
    escalation.reason !== "audit" &&
    query.result?.source !== "USER" &&
    !query.doneProcessing
  );
}

/** The record with what the cloud says now; undefined where it says nothing new. */
async function refreshed(
  { cloud, store, hasDeviceToken }: QueryRouteDeps,
  call: HttpCall,
  stored: StoredQuery,
): Promise<QueryRecord | undefined> {
  if (cloud === undefined || cloud.health().state === "unreachable") return undefined;
  const { requestId, cancellation } = call;
  const token = hasDeviceToken ? undefined : cloudToken(call);
  const answer = await cloud.imageQuery(stored.id, {
    timeoutMs: refreshTimeoutMs,
    requestId,
    cancellation,
    token,
  });
  cancellation.listen(undefined);
  if (isCloudFailure(answer)) return undefined;
  const merged = withCloudAnswer(stored, answer);
  if (merged === undefined) return undefined;
  if (merged.record !== stored.record) store.keepQuery(merged);
  return readQueryRecord(merged.record);
}

function askCloud(
  { cloud, forwarding }: QueryRouteDeps,
  call: HttpCall,
  id: string,
): RouteResult | Promise<RouteResult> {
  // What no id looks like is not to be had in the cloud either, reachable or not.
  if (cloud === undefined || !isKeepable(id)) return noQuery(id);
  return forwarding.answer(call, "unknown_query");
}

function noQuery(id: string): Failure {
  return failure("not_found", `No image query ${JSON.stringify(id.slice(0, 100))} came through here`);
}

async function getPicture(deps: QueryRouteDeps, call: HttpCall): Promise<RouteResult> {
  const { id = "" } = call.params;
  const picture = isKeepable(id) ? await deps.store.picture(id) : undefined;
  if (picture !== undefined && !isFailure(picture)) return pictureAnswer(picture.bytes, picture.mediaType);
  if (deps.cloud !== undefined && isKeepable(id)) return deps.forwarding.answer(call, "unknown_query");
  if (picture !== undefined) return picture;
  const known = await storedQuery(deps, id);
  if (known === undefined || isFailure(known)) return known ?? noQuery(id);
  return failure("not_found", `The picture of ${id} is not kept: recent ones are, as far as there is room`);
}

/** What the caller sent is not trusted to be a picture when a browser opens it. */
function pictureAnswer(bytes: Uint8Array, mediaType: string): WireAnswer {
  return wireAnswer(
    200,
    mediaType,
    [bytes],
    [
      ["x-content-type-options", "nosniff"],
      ["content-security-policy", "default-src 'none'; sandbox"],
    ],
  );
}

/** Ids of other shapes are nothing that the store holds. */
function isKeepable(id: string): boolean {
  return /^[A-Za-z0-9_-]{1,100}$/.test(id);
}

function storedQuery({ store }: QueryRouteDeps, id: string): Promise<StoredQuery | undefined | Failure> {
  return isKeepable(id) ? store.query(id) : Promise.resolve(undefined);
}
