/** `/edge-config`, `/edge-detector-readiness`, `/edge-info`: what `gl.edge` of the client asks, at the root. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Cloud } from "../../contracts/cloud.ts";
import type { LocalInference } from "../../contracts/local-inference.ts";
import type { HttpCall, Route, RouteResult } from "../../contracts/route.ts";
import { failure, isFailure } from "../../core/errors.ts";
import { writeGroundlightFailure } from "../../dialects/groundlight/write-failure.ts";
import { jsonAnswer } from "../../dialects/json-answer.ts";
import type { DetectorRegistry, KnownDetector } from "../detectors/registry.ts";
import type { RuntimeConfig } from "../runtime-config.ts";
import { cloudToken } from "./edge-route.ts";
import { readJsonBody } from "./read-json-body.ts";

/** What the routes need. */
export interface ConfigRouteDeps {
  readonly config: RuntimeConfig;
  readonly registry: DetectorRegistry;
  readonly local: LocalInference;
  readonly cloud: Cloud | undefined;
  /** The device's own token of the cloud; undefined: it has none. */
  readonly deviceToken: () => string | undefined;
}

/** The routes. */
export function createConfigRoutes(deps: ConfigRouteDeps): Route[] {
  const route = (part: Pick<Route, "method" | "path" | "scope" | "body" | "handle">): Route => {
    return { ...part, writeFailure: writeGroundlightFailure };
  };
  return [
    route({
      method: "GET",
      path: "/edge-config",
      scope: "status",
      body: "none",
      handle: () => jsonAnswer(200, deps.config.document()),
    }),
    route({
      method: "PUT",
      path: "/edge-config",
      scope: "infer",
      body: "bytes",
      handle: (call) => putConfig(deps, call),
    }),
    route({
      method: "GET",
      path: "/edge-detector-readiness",
      scope: "status",
      body: "none",
      handle: () => jsonAnswer(200, readinessOf(deps)),
    }),
    route({
      method: "GET",
      path: "/edge-info",
      scope: "open",
      body: "none",
      handle: () => jsonAnswer(200, { upstream_endpoint: deps.cloud?.address ?? null }),
    }),
  ];
}

/** For who administers this gateway, or holds the device's own token. */
async function putConfig(deps: ConfigRouteDeps, call: HttpCall): Promise<RouteResult> {
  if (!call.caller.scopes.includes("admin") && !isSame(cloudToken(call), deps.deviceToken()))
    return failure("forbidden", "This call needs the scope admin, or the device's own token in x-api-token");
  const body = readJsonBody(call);
  if (isFailure(body)) return body;
  return (await deps.config.change(body.value)) ?? jsonAnswer(200, null);
}

/** In constant time. */
function isSame(given: string | undefined, own: string | undefined): boolean {
  if (given === undefined || own === undefined || own === "") return false;
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(own));
}

/** What is so at this moment, of every detector that is configured, and why it is not ready. */
function readinessOf({ registry, local }: ConfigRouteDeps) {
  return Object.fromEntries(
    registry
      .all()
      .filter(({ isConfigured }) => isConfigured)
      .map((known) => [known.id, stateOf(known, local)]),
  );
}

function stateOf({ model, policy, detector }: KnownDetector, local: LocalInference) {
  if (!policy.enabled) return { ready: true, reason: "answered by the cloud", version: null };
  if (model === undefined) return { ready: false, reason: "no model is here", version: null };
  const { ready, reason, version = null } = local.state(model);
  if (ready && detector === undefined)
    return { ready: false, reason: "the cloud has not told its question yet", version };
  return { ready, reason, version };
}
