/**
 * The Groundlight cloud as the edge endpoint sees it. Every call has a deadline, gives a value or a `CloudFailure`, and
 * never throws or hangs; nothing is retried here. The device's token is used unless a caller's is given.
 */
import type { Cancellation } from "../core/cancellation.ts";
import type { Detector, HumanReview, ImageQuery, JsonObject, JsonValue, Roi } from "../core/detector.ts";
import type { HeaderList } from "../core/headers.ts";
import type { WireAnswer } from "../core/wire-answer.ts";

/** Why there is no good answer. */
export interface CloudFailure {
  readonly failed: true;
  /**
   * - `unreachable`: no connection, or it broke before an answer.
   * - `timeout`: none within the deadline, or the caller left.
   * - `throttled`: 429.
   * - `unavailable`: any 5xx.
   * - `unauthorized`: 401 or 403.
   * - `refused`: any other status that is no 2xx: sending it again will not help.
   * - `unreadable`: a 2xx that is not what the API says, such as a page of HTML.
   */
  readonly kind:
    | "unreachable"
    | "timeout"
    | "throttled"
    | "unavailable"
    | "unauthorized"
    | "refused"
    | "unreadable";
  /** Undefined where none came. */
  readonly status: number | undefined;
  /** For people: what the cloud or the system said, at most 1,000 characters. */
  readonly detail: string;
  /** By its `Retry-After`. */
  readonly retryAfterMs: number | undefined;
}

/** Tells a failure from a value. */
export function isCloudFailure(value: unknown): value is CloudFailure {
  return typeof value === "object" && value !== null && "failed" in value && value.failed === true;
}

/** True where the same call may succeed later: everything but what the cloud has refused. */
export function isTemporary({ kind }: CloudFailure): boolean {
  return kind !== "refused" && kind !== "unauthorized";
}

/** For how long, for whom and until when. */
export interface CloudCallOptions {
  readonly timeoutMs: number;
  /** The call ends when it is called off. Undefined: never before the deadline. */
  readonly cancellation?: Cancellation | undefined;
  /** Token of a caller in place of the device's. */
  readonly token?: string | undefined;
  /** Sent as `X-Request-Id`. */
  readonly requestId?: string | undefined;
}

/** An image query for the cloud. */
export interface CloudSubmission {
  readonly detectorId: string;
  readonly picture: Uint8Array;
  readonly mediaType: string;
  /** The id it gets there: a second submission of it makes no second query. */
  readonly imageQueryId: string;
  readonly patienceTime: number | undefined;
  readonly confidenceThreshold: number | undefined;
  readonly humanReview: HumanReview;
  readonly wantAsync: boolean;
  /** At most 1,024 characters as JSON. */
  readonly metadata: JsonObject | undefined;
  readonly inspectionId: string | undefined;
}

/** A label for a query that the cloud has. */
export interface CloudLabelSubmission {
  readonly imageQueryId: string;
  readonly label: string;
  readonly rois: readonly Roi[] | undefined;
}

/** One page of a list. */
export interface CloudPage<T> {
  /** Of all pages. */
  readonly count: number;
  readonly results: readonly T[];
}

/** Where a detector's model can be had (`fetch-model-urls`). */
export interface CloudModelInfo {
  /** YAML text. */
  readonly pipelineConfig: string;
  /** JSON text. */
  readonly predictorMetadata: string;
  /** Undefined for a model without a binary. */
  readonly binary: { readonly id: string; readonly url: string } | undefined;
  readonly oodd:
    | {
        readonly pipelineConfig: string;
        readonly binary: { readonly id: string; readonly url: string } | undefined;
      }
    | undefined;
}

/** A call that goes to the cloud as it came. */
export interface ForwardedCall {
  readonly method: string;
  /** With its query, as the caller wrote it. */
  readonly path: string;
  /** Of the caller, without hop-by-hop headers, cookies, framing and our control headers. */
  readonly headers: HeaderList;
  readonly body: Uint8Array;
}

/** How the cloud has been lately, by the calls that were made: nothing is sent to find out. */
export interface CloudHealth {
  readonly state: "unknown" | "reachable" | "unreachable";
  /** Milliseconds since the Unix epoch. */
  readonly since: number;
  /** Detail of the last failure; empty when reachable. */
  readonly reason: string;
}

/** The cloud. */
export interface Cloud {
  /** Base address for people, without credentials. */
  readonly address: string;
  health(): CloudHealth;
  /** Called whenever `health().state` changed. */
  onHealthChange(listener: (health: CloudHealth) => void): void;
  submit(submission: CloudSubmission, options: CloudCallOptions): Promise<ImageQuery | CloudFailure>;
  imageQuery(id: string, options: CloudCallOptions): Promise<ImageQuery | CloudFailure>;
  addLabel(label: CloudLabelSubmission, options: CloudCallOptions): Promise<undefined | CloudFailure>;
  detector(id: string, options: CloudCallOptions): Promise<Detector | CloudFailure>;
  detectors(
    page: { readonly page: number; readonly pageSize: number },
    options: CloudCallOptions,
  ): Promise<CloudPage<Detector> | CloudFailure>;
  /** `/me` as it came: a JSON object. */
  me(options: CloudCallOptions): Promise<JsonObject | CloudFailure>;
  modelInfo(detectorId: string, options: CloudCallOptions): Promise<CloudModelInfo | CloudFailure>;
  reportMetrics(payload: JsonValue, options: CloudCallOptions): Promise<undefined | CloudFailure>;
  /** Any status is an answer. */
  forward(call: ForwardedCall, options: CloudCallOptions): Promise<WireAnswer | CloudFailure>;
  close(): void;
}
