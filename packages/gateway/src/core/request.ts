/** One request on its way through the pipeline. */
import type { AddressSubset } from "./address-subset.ts";
import type { Cancellation } from "./cancellation.ts";
import type { Failure } from "./errors.ts";
import type { ForwardPayload, TokenUsage } from "./forward.ts";
import type { HeaderMap } from "./headers.ts";
import type { CallerMeter, Reservation } from "./meter.ts";
import type { ServedModel } from "./model.ts";
import type { RequestTraits } from "./request-traits.ts";
import type { RuleTrace } from "./rule-trace.ts";
import type { Tensor } from "./tensor.ts";
import type { WireAnswer } from "./wire-answer.ts";

export type { WireAnswer };

/** What a caller may do. */
export type Scope = "infer" | "status" | "admin";

/**
 * What a route asks of its caller: a scope, any key at all (`any`: where clients look whether there is a server), or
 * nothing (`open`: health, which load balancers ask for without a key).
 */
export type RouteScope = Scope | "any" | "open";

/** Who calls. */
export interface Caller {
  /** Key id, `local` for loopback without credentials, `anonymous` under `auth: none` and on open routes. */
  readonly id: string;
  readonly scopes: readonly Scope[];
  /** Models the caller may use: names, or beginnings of names that end in `*`. Undefined: all. */
  readonly models?: readonly string[];
  /** Counts what the caller uses against its limits. Undefined: no limits and no counting. */
  readonly meter?: CallerMeter;
}

/** What is known of a request before a byte of its body is kept. */
export interface RequestHead {
  readonly door: "http" | "grpc" | "extproc";
  /** HTTP method; POST for gRPC. */
  readonly method: string;
  /** Path without the query; `/package.Service/Method` for gRPC. */
  readonly path: string;
  readonly headers: HeaderMap;
  /** Address of the peer, without its port. */
  readonly remoteAddress: string;
  /** What the addressed route asks for. */
  readonly scope: RouteScope;
}

/** Inputs that fit a model, ready to be sent. */
export interface BoundTensors {
  readonly inputs: readonly Tensor[];
  /** Names of the outputs wanted; undefined for all. */
  readonly outputs: readonly string[] | undefined;
  /** Size of the first dimension where the model is batchable, else 1. */
  readonly rows: number;
  /** Bytes of all inputs in sum. */
  readonly bytes: number;
  /** Requests with equal keys may share a call: same inputs, datatypes, shapes behind the first dimension, same outputs. */
  readonly shapeKey: string;
}

/** What came back for one request. */
export interface TensorAnswer {
  readonly model: ServedModel;
  readonly outputs: readonly Tensor[];
  readonly timing: AnswerTiming;
}

/** Where the time went, in milliseconds, and with how many rows the call was shared. */
export interface AnswerTiming {
  readonly queueMs: number;
  /** Time in the model's engine; undefined where the server does not say. */
  readonly computeMs: number | undefined;
  readonly batchRows: number;
  /** The instance that answered. */
  readonly instance: string;
}

/** The dialect's part of a predictive request. Called synchronously by the stage that needs it. */
export interface TensorPayload {
  readonly kind: "tensors";
  /** Checks the inputs against the model and lays them out. */
  bind(model: ServedModel): BoundTensors | Failure;
  /**
   * Writes the answer in the caller's dialect. Must not throw for an answer that fits the model. A
   * promise, never rejected, only where so much JSON is to be written that a thread does it.
   */
  write(answer: TensorAnswer): WireAnswer | Failure | Promise<WireAnswer | Failure>;
}

/** What a request carries: tensors for model workers, or bytes for HTTP servers. */
export type Payload = TensorPayload | ForwardPayload;

/** A request after its dialect has read it. */
export type InferenceRequest<P extends Payload = Payload> = P extends Payload ? RequestWith<P> : never;

/** True for a request that model workers answer. */
export function carriesTensors(request: InferenceRequest): request is InferenceRequest<TensorPayload> {
  return request.payload.kind === "tensors";
}

/** A request with one kind of payload. */
export interface RequestWith<P extends Payload> {
  /** Given by the caller or made by the door; echoed in answers and logs. */
  readonly id: string;
  readonly model: string;
  /** Undefined: the repository's choice. */
  readonly version: string | undefined;
  readonly caller: Caller;
  /** On the pipeline's monotonic clock, ms. */
  readonly receivedAt: number;
  /** On the same clock; a request still waiting then is answered `queue_timeout`. Routing may bring it forward. */
  deadline: number;
  /** Larger goes first; 0 is normal; below 0 it may be shed. Routing sets it where an objective says so. */
  priority: number;
  /** Set by routing; absent: the request says nothing of itself. */
  traits?: RequestTraits;
  /** Set by routing where rules looked at the request, in their order. */
  rules?: readonly RuleTrace[];
  /** The servers that it may go to, where the door's caller limits them; absent: all of its pool. */
  only?: AddressSubset;
  /** Routing may put an edited one in its place. */
  payload: P;
  /** As the caller sent them; absent for a request that the gateway itself makes. */
  readonly headers?: HeaderMap;
  readonly cancellation: Cancellation;
  /** Set by the pipeline when the request enters; settled by the door when its exchange ends, whichever way. */
  reservation?: Reservation;
  /** Set by whoever learns what was really used, at the latest when the exchange ends. */
  usage?: TokenUsage;
}
