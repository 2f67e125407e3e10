/** What all calls of a door share, and what one call is made from. */
import type { Metadata, ServerCallHead } from "@spillway/grpc";
import type { Pipeline } from "../../contracts/pipeline.ts";
import type { RpcMethod } from "../../contracts/route.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import type { CancelReason } from "../../core/cancellation.ts";
import type { Clock } from "../../core/clock.ts";
import type { Failure } from "../../core/errors.ts";
import type { HeaderMap } from "../../core/headers.ts";
import type { Random } from "../../core/random.ts";
import type { Caller } from "../../core/request.ts";
import type { MethodMeter } from "./grpc-metrics.ts";

/** Made once a door. */
export interface RpcContext {
  readonly pipeline: Pipeline;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Something that stays open until the client ends it, unless told that the door closes. */
export interface OpenStream {
  /** Finish what has begun, then end. */
  drain(): void;
}

/** A method with its counters. */
export interface MeteredMethod {
  readonly method: RpcMethod;
  readonly meter: MethodMeter;
}

/** What became known of a call when its head was in. */
export interface AdmittedHead {
  /** Ms on the door's clock. */
  readonly receivedAt: number;
  readonly metadata: HeaderMap;
  readonly requestId: string;
  /** A promise where the caller's credentials take time; its failure then answers the call. */
  readonly caller: Caller | Promise<Caller | Failure>;
}

/** A call as the server hands it over, with what its head said. */
export interface OpenCall<Call extends ServerCallHead> extends MeteredMethod {
  readonly context: RpcContext;
  readonly call: Call;
  readonly head: AdmittedHead;
  /** The door's open streams: a stream adds and removes itself. */
  readonly streams: Set<OpenStream>;
}

/** Metadata by name; of a repeated name all values. */
export function toHeaderMap(metadata: Metadata): HeaderMap {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of metadata) {
    const known = headers[name];
    if (known === undefined) headers[name] = value;
    else if (typeof known === "string") headers[name] = [known, value];
    else known.push(value);
  }
  return headers;
}

/** Clients end a call themselves when its time is up; on the way that moment moves a little. */
const deadlineShare = 0.9;

/** Why a call has ended from the client's side: it left, or the time it gave has as good as passed. */
export function cancelReason(
  { timeoutMs }: ServerCallHead,
  { receivedAt }: AdmittedHead,
  { clock }: RpcContext,
): CancelReason {
  const isLate = timeoutMs !== undefined && clock.now() - receivedAt >= timeoutMs * deadlineShare;
  return isLate ? "deadline" : "client_gone";
}
