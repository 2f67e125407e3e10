/** Calls of rules to services elsewhere, as a port: a plugin opens no sockets. */
import type { Cancellation } from "../core/cancellation.ts";
import type { Failure } from "../core/errors.ts";
import type { HeaderList, HeaderMap } from "../core/headers.ts";

/** A service that is asked. */
export interface CalloutTarget {
  /** `http://…` or `https://…`, with path and query. */
  readonly url: string;
  /** Sent with every call: credentials, names in lower case. */
  readonly headers: HeaderList;
  readonly connectTimeoutMs: number;
  /** Calls under way at once; one more fails at once (`overloaded`). */
  readonly concurrency: number;
}

/** What the service answered, whatever its status. */
export interface CalloutAnswer {
  readonly status: number;
  readonly headers: HeaderMap;
  readonly body: Uint8Array;
}

/** One call. */
export interface CalloutRequest {
  /** Sent as `application/json`. */
  readonly body: Uint8Array;
  /** An answer of more bytes is a failure; the rest is not read. */
  readonly maxAnswerBytes: number;
  /** Called off, its connection is closed at once. */
  readonly cancellation: Cancellation;
}

/** A service that can be asked. */
export interface HttpCallout {
  /** POSTs. Never rejects: a failure is `upstream_unreachable`, `bad_upstream_answer`, `overloaded`, or `client_gone` where it was called off. */
  post(request: CalloutRequest): Promise<CalloutAnswer | Failure>;
}

/** Makes callouts; what they keep open is closed with the gateway. Throws a `GatewayError` for an address that is none. */
export type CalloutFactory = (target: CalloutTarget) => HttpCallout;
