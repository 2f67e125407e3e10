/** What answers URLs: routes are data, so that the door owns sockets and knows no dialect. */
import type { Failure } from "../core/errors.ts";
import type { HeaderList, HeaderMap } from "../core/headers.ts";
import type { ForwardPayload } from "../core/forward.ts";
import type { Caller, InferenceRequest, RequestWith, RouteScope, WireAnswer } from "../core/request.ts";
import type { Cancellation } from "../core/cancellation.ts";
import type { BodyStream } from "./body-stream.ts";
import type { Exchange, ResponseSink } from "./sink.ts";

/** One HTTP call with its body read. */
export interface HttpCall {
  readonly method: string;
  readonly path: string;
  /** Without the `?`; empty when there is none. */
  readonly query: string;
  readonly headers: HeaderMap;
  /** Percent-decoded values of the pattern's `{name}` parts. */
  readonly params: Readonly<Record<string, string>>;
  /** Empty for a route that takes its body as it comes. */
  readonly body: Uint8Array;
  /** The body of a `stream` route; undefined where the request has none. */
  readonly upload?: BodyStream | undefined;
  readonly caller: Caller;
  /** Given by `x-request-id` or made by the door. */
  readonly requestId: string;
  /** Monotonic, ms. */
  readonly receivedAt: number;
  readonly cancellation: Cancellation;
}

/** A call of which nothing but the head is kept. */
export interface HeadCall extends Pick<
  HttpCall,
  "headers" | "caller" | "requestId" | "receivedAt" | "cancellation"
> {
  /** The model that its headers name. */
  readonly model: string;
  /** Length of its body, as far as it is known. */
  readonly bytes: number;
}

/** What a handler gives back: an answer, a refusal, or a request for the pipeline. */
export type RouteResult = WireAnswer | Failure | InferenceRequest;

/** An answer that a handler gives as it comes, past the pipeline: progress of an operator's call, an upload. */
export interface StreamedAnswer {
  /**
   * Called once. One of `whole`, `end` and `fail` must follow on the sink unless the exchange is
   * cancelled, which happens as soon as the client has left; the sink is not to be called after that.
   */
  carry(sink: ResponseSink): Exchange;
}

/** Writes a failure in the words of one API; by the request's `headers` where clients of several ask at one address. */
export type FailureWriter = (failure: Failure, requestId: string, headers?: HeaderMap) => WireAnswer;

/** One address. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD";
  /** Segments are literal or `{name}`; a segment may end in a literal suffix: `/v1/models/{model}:predict`. A last `{name*}` takes the rest of the path, which may be empty. */
  readonly path: string;
  readonly scope: RouteScope;
  /**
   * - `none`: a body is not read.
   * - `bytes`: read whole, within the door's bound.
   * - `stream`: handed over as it arrives, of any size and for any time, as `HttpCall.upload`.
   */
  readonly body: "none" | "bytes" | "stream";
  readonly writeFailure: FailureWriter;
  /** May throw a `GatewayError`; anything else thrown is answered `internal`. */
  handle(call: HttpCall): RouteResult | StreamedAnswer | Promise<RouteResult | StreamedAnswer>;
  /** The request of a call whose body passes by unread. Absent: the address needs the body. */
  fromHead?(call: HeadCall): RequestWith<ForwardPayload>;
}

/** One gRPC call with its message read. */
export interface RpcCall {
  readonly path: string;
  readonly metadata: HeaderMap;
  readonly message: Uint8Array;
  readonly caller: Caller;
  readonly requestId: string;
  readonly receivedAt: number;
  /** From `grpc-timeout`; undefined without one. */
  readonly timeoutMs: number | undefined;
  readonly cancellation: Cancellation;
}

/** A gRPC method. `WireAnswer.body` is the message and its headers are metadata of a unary call; its status is not sent. */
export interface RpcMethod {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly scope: RouteScope;
  /** `messages`: each message of the stream is handled as a call of its own and its answer sent in turn. */
  readonly kind: "unary" | "messages";
  /**
   * How a failure is answered inside a message: for `messages` in the stream, for `unary` as an OK
   * answer. Undefined, absent or given back: the failure's gRPC status ends the call.
   */
  readonly writeFailure?: (failure: Failure, call: RpcCall) => readonly Uint8Array[] | undefined;
  handle(call: RpcCall): RouteResult | Promise<RouteResult>;
}

/** Shorthand for whole answers. */
export function wireAnswer(
  status: number,
  contentType: string,
  body: readonly Uint8Array[],
  headers: HeaderList = [],
): WireAnswer {
  return { status, headers: [["content-type", contentType], ...headers], body };
}
