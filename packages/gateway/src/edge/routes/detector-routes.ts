/** `/detectors`: what is known here is told here, also while the cloud is away; detectors are made, changed and removed there. */
import { isCloudFailure, type Cloud } from "../../contracts/cloud.ts";
import type { EdgeStore } from "../../contracts/edge-store.ts";
import type { HttpCall, Route, RouteResult } from "../../contracts/route.ts";
import type { Clock } from "../../core/clock.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { WireAnswer } from "../../core/wire-answer.ts";
import {
  readDetector,
  readDetectorCreation,
  readDetectorPatch,
  writeDetector,
} from "../../dialects/groundlight/detector.ts";
import { writePage } from "../../dialects/groundlight/image-query.ts";
import { readDetectorListing, type DetectorListing } from "../../dialects/groundlight/query-string.ts";
import { jsonAnswer } from "../../dialects/json-answer.ts";
import { keepDetector } from "../detectors/learn.ts";
import type { DetectorRegistry, KnownDetector } from "../detectors/registry.ts";
import { relay, type Forwarding } from "../forward.ts";
import { apiRoutes, cloudToken, listUrl } from "./edge-route.ts";
import { readJsonBody } from "./read-json-body.ts";

/** What the routes need. */
export interface DetectorRouteDeps {
  readonly registry: DetectorRegistry;
  readonly store: EdgeStore;
  readonly cloud: Cloud | undefined;
  readonly forwarding: Forwarding;
  readonly hasDeviceToken: boolean;
  readonly clock: Clock;
}

/** How long what the cloud told of a detector is told on without asking again, ms. */
const freshMs = 60_000;

/** How long the cloud may take where an older answer is at hand, ms. */
const refreshTimeoutMs = 3_000;

/** The routes. */
export function createDetectorRoutes(deps: DetectorRouteDeps): Route[] {
  const one = { path: "/detectors/{id}", scope: "infer" } as const;
  const all = { path: "/detectors", scope: "infer" } as const;
  return [
    ...apiRoutes({ ...all, method: "GET", body: "none", handle: (call) => list(deps, call) }),
    ...apiRoutes({ ...one, method: "GET", body: "none", handle: (call) => getOne(deps, call) }),
    ...apiRoutes({
      ...all,
      method: "POST",
      body: "bytes",
      handle: (call) => change(deps, call, readDetectorCreation),
    }),
    ...apiRoutes({
      ...one,
      method: "PATCH",
      body: "bytes",
      handle: (call) => change(deps, call, readDetectorPatch),
    }),
    ...apiRoutes({ ...one, method: "DELETE", body: "none", handle: (call) => remove(deps, call) }),
  ];
}

async function getOne(deps: DetectorRouteDeps, call: HttpCall): Promise<RouteResult> {
  const { id = "" } = call.params;
  const known = deps.registry.find(id);
  const { cloud } = deps;
  if (known?.detector !== undefined && (cloud === undefined || isSettled(deps, known)))
    return jsonAnswer(200, writeDetector(known.detector));
  if (cloud === undefined) return failure("not_found", `No detector ${shown(id)}, and there is no cloud`);
  const { requestId, cancellation } = call;
  const token = deps.hasDeviceToken ? undefined : cloudToken(call);
  const told = await cloud.detector(known?.id ?? id, {
    timeoutMs: refreshTimeoutMs,
    requestId,
    cancellation,
    token,
  });
  cancellation.listen(undefined);
  if (!isCloudFailure(told)) {
    await keepDetector(deps, told);
    return jsonAnswer(200, writeDetector(told));
  }
  return known?.detector === undefined ? relay(told) : jsonAnswer(200, writeDetector(known.detector));
}

/** True for one that the configuration describes, and while what the cloud said is fresh or the cloud is away. */
function isSettled({ clock, cloud }: DetectorRouteDeps, { detector, learntAt }: KnownDetector): boolean {
  if (detector?.origin === "configuration" || cloud?.health().state === "unreachable") return true;
  return learntAt !== undefined && clock.now() - learntAt < freshMs;
}

/** The cloud's list where it can be had and the configuration does not know the name; else what is known here. */
async function list(deps: DetectorRouteDeps, call: HttpCall): Promise<RouteResult> {
  const wanted = readDetectorListing(call.query);
  if (isFailure(wanted)) return wanted;
  const isOwn = deps.registry
    .all()
    .some(({ detector }) => detector?.origin === "configuration" && detector.name === wanted.name);
  if (!isOwn && deps.forwarding.isPossible) {
    const answer = await deps.forwarding.ask(call, "detector");
    const isOfCloud = !isCloudFailure(answer) && !isFailure(answer) && answer.status < 500;
    if (isOfCloud) return answer;
  }
  return ownList(deps, call, wanted);
}

function ownList({ registry }: DetectorRouteDeps, call: HttpCall, wanted: DetectorListing): WireAnswer {
  const { page, pageSize, name } = wanted;
  const found = registry
    .all()
    .flatMap(({ detector }) =>
      detector === undefined || (name !== undefined && detector.name !== name) ? [] : [detector],
    );
  const results = found.slice((page - 1) * pageSize, page * pageSize).map(writeDetector);
  return jsonAnswer(
    200,
    writePage({ results, count: found.length, page, pageSize, url: listUrl(call), query: call.query }),
  );
}

/** A detector that is made or changed in the cloud is known here at once. */
async function change(
  deps: DetectorRouteDeps,
  call: HttpCall,
  read: (body: unknown) => object | Failure,
): Promise<RouteResult> {
  const body = readJsonBody(call);
  if (isFailure(body)) return body;
  const checked = read(body.value);
  if (isFailure(checked)) return checked;
  if (deps.cloud === undefined) return noCloud();
  const answer = await deps.forwarding.answer(call, "detector");
  if (isFailure(answer) || answer.status >= 300) return answer;
  const detector = readDetector(parse(answer));
  if (!isFailure(detector)) await keepDetector(deps, detector);
  return answer;
}

async function remove(deps: DetectorRouteDeps, call: HttpCall): Promise<RouteResult> {
  if (deps.cloud === undefined) return noCloud();
  const answer = await deps.forwarding.answer(call, "detector");
  const { id = "" } = call.params;
  const known = deps.registry.find(id);
  if (!isFailure(answer) && answer.status < 300 && known !== undefined && deps.registry.forget(id))
    await deps.store.forgetDetector(known.id);
  return answer;
}

function noCloud(): Failure {
  return failure(
    "unimplemented",
    "Detectors are made and changed in the cloud, and there is none; add them to edge.detectors in the configuration",
  );
}

function parse({ body }: WireAnswer): unknown {
  try {
    return JSON.parse(Buffer.concat(body).toString("utf8"));
  } catch {
    return undefined;
  }
}

function shown(id: string): string {
  return JSON.stringify(id.slice(0, 100));
}
