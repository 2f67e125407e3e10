/** Failures in the words of gRPC. */
import type { GrpcStatusCode, Metadata } from "@spillway/grpc";
import { errorTable, type Failure } from "../../core/errors.ts";

/** How long a caller is asked to wait where the failure names no time, ms. */
const defaultPushbackMs = 1_000;

/** The canonical status code of a failure. */
export function statusOf({ code }: Failure): GrpcStatusCode {
  return errorTable[code].grpc as GrpcStatusCode;
}

/**
 * Metadata of a failed call: its id, what the failure itself says, and for failures that may pass `grpc-retry-pushback-ms`, which
 * tells clients with a retry policy how long to wait
 * (https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback).
 */
export function failureMetadata(reason: Failure, requestId: string): Metadata {
  const said = [["x-request-id", requestId], ...(reason.headers ?? [])] as const;
  if (!errorTable[reason.code].retryable && reason.retryAfterMs === undefined) return said;
  const pushbackMs = Math.max(1, Math.ceil(reason.retryAfterMs ?? defaultPushbackMs));
  return [...said, ["grpc-retry-pushback-ms", String(pushbackMs)]];
}
