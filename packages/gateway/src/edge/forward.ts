/** Calls that the edge does not answer itself and that go to the cloud as they are. */
import { isCloudFailure, type Cloud, type CloudFailure } from "../contracts/cloud.ts";
import type { HttpCall } from "../contracts/route.ts";
import type { Logger, Metrics, MetricValue } from "../contracts/telemetry.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { HeaderList } from "../core/headers.ts";
import type { WireAnswer } from "../core/wire-answer.ts";
import { jsonAnswer } from "../dialects/json-answer.ts";
import { cloudToken } from "./routes/edge-route.ts";

/**
 * Why a call goes to the cloud. All that is forwarded is one of these; what the edge understands and finds wrong (400, 413,
 * 415) is refused here, and so is an unknown path on a listener that is not for cameras.
 * - `unknown_path`: below `/device-api/`, or anywhere on a listener for cameras (Groundlight's 404).
 * - `other_method`: a known address with a method that the edge does not have (405).
 * - `unknown_query`: an image query that did not come through here (404).
 * - `detector`: detectors are made, changed and removed in the cloud.
 * - `account`: who the caller is, and tokens.
 */
export type ForwardReason = "unknown_path" | "other_method" | "unknown_query" | "detector" | "account";

/** The families of this module, for the reference page. */
export const edgeForwardMetrics = {
  forwards: {
    name: "spillway_edge_forwards_total",
    help: "Calls that went to the Groundlight cloud as they came, by why (unknown_path, other_method, unknown_query, detector, account) and how they ended: the answer's class of status, or the kind of failure.",
    labels: ["reason", "outcome"],
  },
} as const;

/** What forwarding needs. */
export interface ForwardDeps {
  readonly cloud: Cloud | undefined;
  readonly hasDeviceToken: boolean;
  readonly cloudTimeoutMs: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Forwards; made once. */
export class Forwarding {
  readonly #deps: ForwardDeps;
  readonly #count: (reason: ForwardReason, outcome: string) => MetricValue;

  constructor(deps: ForwardDeps) {
    this.#deps = deps;
    const counter = deps.metrics.counter(edgeForwardMetrics.forwards);
    this.#count = (reason, outcome) => counter.with(reason, outcome);
  }

  get hasCloud(): boolean {
    return this.#deps.cloud !== undefined;
  }

  /** True where there is a cloud that has not been found away by the last calls. */
  get isPossible(): boolean {
    const { cloud } = this.#deps;
    return cloud !== undefined && cloud.health().state !== "unreachable";
  }

  /** The cloud's answer as it is, or why there is none. */
  async answer(call: HttpCall, reason: ForwardReason): Promise<WireAnswer | Failure> {
    const answer = await this.ask(call, reason);
    return isCloudFailure(answer) ? failureOf(answer) : answer;
  }

  /** The cloud's answer, or what kept it. */
  async ask(call: HttpCall, reason: ForwardReason): Promise<WireAnswer | Failure | CloudFailure> {
    const { cloud, cloudTimeoutMs, logger } = this.#deps;
    if (cloud === undefined) return noCloud(call);
    const refused = this.#refusal(call);
    if (refused !== undefined) return refused;
    const { method, path, query, body, requestId, cancellation } = call;
    const forwarded = {
      method,
      path: query === "" ? path : `${path}?${query}`,
      headers: headerList(call),
      body,
    };
    const token = cloudToken(call);
    const answer = await cloud.forward(forwarded, {
      timeoutMs: cloudTimeoutMs,
      cancellation,
      token,
      requestId,
    });
    cancellation.listen(undefined);
    const outcome = isCloudFailure(answer) ? answer.kind : `${Math.floor(answer.status / 100)}xx`;
    this.#count(reason, outcome).value++;
    logger.info("edge_forwarded", { requestId, method, path, reason, outcome });
    return answer;
  }

  /** The device's token answers for those who administer this gateway, nobody else's calls. */
  #refusal(call: HttpCall): Failure | undefined {
    if (cloudToken(call) !== undefined || !this.#deps.hasDeviceToken) return undefined;
    if (call.caller.scopes.includes("admin")) return undefined;
    return failure(
      "unauthorized",
      "This call goes to the Groundlight cloud and needs a token of it in x-api-token",
    );
  }
}

/** What a caller without a cloud is told. */
export function noCloud({ method, path }: Pick<HttpCall, "method" | "path">): Failure {
  return failure("not_found", `${method} ${path.slice(0, 200)} is not answered here, and there is no cloud`);
}

/** A failure of the cloud as callers of this gateway read it. */
export function failureOf({ kind, detail, retryAfterMs, status }: CloudFailure): Failure {
  switch (kind) {
    case "unreachable":
      return failure("upstream_unreachable", detail, retryAfterMs);
    case "timeout":
      return failure("upstream_timeout", `The cloud took too long: ${detail}`, retryAfterMs);
    case "throttled":
      return failure("rate_limited", detail, retryAfterMs);
    case "unavailable":
      return failure("upstream_unreachable", `The cloud fails: ${detail}`, retryAfterMs);
    case "unauthorized":
      return failure(status === 401 ? "unauthorized" : "forbidden", detail);
    case "refused":
      return failure(status === 404 ? "not_found" : "bad_request", detail);
    case "unreadable":
      return failure("bad_upstream_answer", `The cloud's answer cannot be read: ${detail}`);
  }
}

/** The cloud's own status and words where it gave them. */
export function relay(problem: CloudFailure): WireAnswer | Failure {
  const { status, detail } = problem;
  return status !== undefined && status >= 400 ? jsonAnswer(status, { detail }) : failureOf(problem);
}

function headerList({ headers }: HttpCall): HeaderList {
  const list: [string, string][] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    for (const each of typeof value === "string" ? [value] : value) list.push([name, each]);
  }
  return list;
}
