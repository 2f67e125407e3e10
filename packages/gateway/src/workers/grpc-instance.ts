/** A model behind a gRPC channel: our worker, or any server that speaks KServe v2. */
import { grpcStatus, type GrpcChannel, type GrpcFailure } from "@spillway/grpc";
import { failure, type ErrorCode, type Failure } from "../core/errors.ts";
import type { Host } from "./host.ts";
import { decodeInferResponse, encodeInferRequest, splitRows, type ModelAddress } from "./model-infer.ts";
import type {
  InstanceAnswer,
  InstanceCall,
  InstanceFailure,
  InstanceHandler,
  ModelInstance,
} from "./model-instance.ts";

/** Rows at fault, from 0, separated by commas. */
const badRowsTrailer = "spillway-bad-rows";

/** Messages below this size are left to the garbage collector. */
const largeBytes = 65_536;

const inferPath = "/inference.GRPCInferenceService/ModelInfer";

/** What an instance is made of. */
export interface GrpcInstanceOptions {
  readonly id: string;
  readonly host: Host;
  readonly channel: GrpcChannel;
  readonly model: ModelAddress;
}

/** A model that is called with `ModelInfer`. */
export function createGrpcInstance(options: GrpcInstanceOptions): ModelInstance {
  const { id, host, channel, model } = options;
  return {
    id,
    host,
    infer(call, handler) {
      const running = channel.unary(
        { path: inferPath, message: encodeInferRequest(model, call.requests) },
        {
          done: (message) => deliver({ message, call, taken: running.taken }, handler),
          failed: (reason) => handler.failed(withCulprits(classifyFailure(reason, channel), reason, call)),
        },
      );
      return running;
    },
  };
}

/** A call with its answer. */
interface Answered {
  readonly message: Uint8Array;
  readonly call: InstanceCall;
  /** The kernel has the whole of what was sent. */
  readonly taken: boolean;
}

function deliver(answered: Answered, handler: InstanceHandler): void {
  let answer: InstanceAnswer;
  try {
    answer = readAnswer(answered);
  } catch (error) {
    const text = `The model server sent an answer that cannot be read: ${error instanceof Error ? error.message : ""}`;
    return handler.failed({ kind: "refused", failure: failure("bad_upstream_answer", text) });
  }
  handler.answered(answer);
}

function readAnswer({ message, call, taken }: Answered): InstanceAnswer {
  const { outputs, computeNs, preprocessNs } = decodeInferResponse(message);
  const rows = call.requests.map((request) => request.rows);
  const isAlone = call.requests.length === 1;
  const perRequest = isAlone ? [outputs] : splitRows(outputs, rows);
  const mayFree = isAlone && message.length >= largeBytes;
  const spent = mayFree || taken ? { answer: mayFree ? message : undefined, request: taken } : undefined;
  return { outputs: perRequest, computeNs, preprocessNs, spent };
}

/**
 * A call that the server did not look at is sent again without doubt: a departing server (GOAWAY)
 * refuses the last ones so, on a connection that is still up. One that a broken connection ended may
 * have killed the server; anything else a live server says is its answer.
 */
export function classifyFailure(reason: GrpcFailure, channel: GrpcChannel): InstanceFailure {
  const lost = reason.code === grpcStatus.unavailable && channel.state !== "ready";
  if (reason.unsent || lost) {
    const text = "The model's process went away";
    return { kind: reason.unsent ? "unsent" : "died", failure: failure("model_unavailable", text, 1_000) };
  }
  return { kind: "refused", failure: upstreamFailure(reason) };
}

/** Our worker names the rows whose pictures cannot be read, so that the rest of the call need not suffer. */
function withCulprits(seen: InstanceFailure, reason: GrpcFailure, call: InstanceCall): InstanceFailure {
  const trailer = reason.metadata.find(([name]) => name === badRowsTrailer)?.[1];
  if (seen.kind !== "refused" || trailer === undefined) return seen;
  const badRows = new Set(trailer.split(",").map(Number));
  const atFault = new Set<number>();
  let row = 0;
  for (const [index, request] of call.requests.entries()) {
    const end = row + request.rows;
    for (; row < end; row++) if (badRows.has(row)) atFault.add(index);
  }
  return { kind: "refused", failure: failure("invalid_image", reason.message), atFault };
}

const codes: Partial<Record<number, ErrorCode>> = {
  [grpcStatus.invalidArgument]: "bad_request",
  [grpcStatus.outOfRange]: "bad_request",
  [grpcStatus.notFound]: "model_not_found",
  [grpcStatus.unavailable]: "model_unavailable",
  [grpcStatus.resourceExhausted]: "model_unavailable",
  [grpcStatus.unimplemented]: "unimplemented",
  [grpcStatus.cancelled]: "model_unavailable",
};

function upstreamFailure(reason: GrpcFailure): Failure {
  const code = codes[reason.code] ?? "model_failed";
  return failure(code, reason.message, code === "model_unavailable" ? 1_000 : undefined);
}
