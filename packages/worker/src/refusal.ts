/** Expected refusals as values: what a call is answered with instead of tensors. */
import type { GrpcStatusCode } from "@spillway/grpc";

/** Why a call is not answered with tensors, and the gRPC status that says so. */
export interface Refusal {
  readonly code: GrpcStatusCode;
  /** For the caller: what is wrong and what was expected. */
  readonly message: string;
  /** Rows at fault, from 0, where it is known: the other rows of the call would have been answered. */
  readonly badRows?: readonly number[];
}

/** Status codes used by the worker (https://grpc.io/docs/guides/status-codes/). */
const codes = {
  invalid: 3,
  notFound: 5,
  exhausted: 8,
  precondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const satisfies Record<string, GrpcStatusCode>;

/** A refusal without a stack trace. */
export function refuse(kind: keyof typeof codes, message: string): Refusal {
  return { code: codes[kind], message };
}

/** Tells a refusal from a good value of any other object type. */
export function isRefusal(value: object): value is Refusal {
  return "code" in value && typeof value.code === "number" && "message" in value;
}

/** The text of anything thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
