/** One place that runs a model: what the batcher sends its calls to. */
import type { Failure } from "../core/errors.ts";
import type { BoundTensors } from "../core/request.ts";
import type { Tensor } from "../core/tensor.ts";
import type { SpentMemory } from "../core/wire-answer.ts";
import type { Host } from "./host.ts";

/** One call for several requests of one shape. */
export interface InstanceCall {
  readonly requests: readonly BoundTensors[];
  readonly rows: number;
}

/** What an instance says of a call that was answered. */
export interface InstanceAnswer {
  /** Outputs of each request, in the order of the call. */
  readonly outputs: readonly (readonly Tensor[])[];
  /** Nanoseconds in the engine and in front of it (decoding pictures); undefined where the server does not say. */
  readonly computeNs: number | undefined;
  readonly preprocessNs: number | undefined;
  /** Undefined where there is nothing large, or it is not known to be unused. */
  readonly spent?: SpentMemory | undefined;
}

/**
 * How a call failed.
 * - `unsent`: not a byte left; repeating it is free of doubt.
 * - `died`: the host went away while it ran; the call may be the cause.
 * - `refused`: the host answered with an error and lives.
 */
export interface InstanceFailure {
  readonly kind: "unsent" | "died" | "refused";
  readonly failure: Failure;
  /** Which requests of the call are at fault, by their place in it, where the host says so. The others may be sent again. */
  readonly atFault?: ReadonlySet<number>;
}

/** Exactly one of the two is called, once, unless the call is cancelled first. */
export interface InstanceHandler {
  answered(answer: InstanceAnswer): void;
  failed(failure: InstanceFailure): void;
}

/** A model on a host. */
export interface ModelInstance {
  readonly id: string;
  readonly host: Host;
  infer(call: InstanceCall, handler: InstanceHandler): { cancel(): void };
}
