/** The gRPC door: owns the listener and its method table, knows no dialect. */
import {
  createGrpcServer,
  type GrpcServerOptions,
  type GrpcStatusCode,
  type Metadata,
  type MethodHandler,
  type ServerCallHead,
  type StreamServerCall,
  type UnaryServerCall,
} from "@spillway/grpc";
import type { DoorOptions } from "../../contracts/options.ts";
import type { Pipeline } from "../../contracts/pipeline.ts";
import type { RpcCall, RpcMethod } from "../../contracts/route.ts";
import type { Logger, Metrics } from "../../contracts/telemetry.ts";
import { Cancellation } from "../../core/cancellation.ts";
import type { Clock } from "../../core/clock.ts";
import { errorTable, failure, GatewayError, isFailure, type Failure } from "../../core/errors.ts";
import type { HeaderMap } from "../../core/headers.ts";
import type { Random } from "../../core/random.ts";
import type { Caller } from "../../core/request.ts";
import { MethodMeter } from "./grpc-metrics.ts";
import { runMethod, type RpcContext } from "./rpc-exchange.ts";

/** What the door needs. */
export interface GrpcDoorOptions {
  readonly methods: readonly RpcMethod[];
  /** Services that are answered without the pipeline: health, reflection. They need the scope `status`. */
  readonly services: ReadonlyMap<string, MethodHandler>;
  readonly pipeline: Pipeline;
  readonly options: DoorOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** A gRPC listener. */
export interface GrpcDoor {
  /** Rejects with a `GatewayError` that says what to do when the address cannot be had. */
  listen(): Promise<{ readonly host: string; readonly port: number }>;
  /** Stops accepting, lets calls finish for `graceMs`. Idempotent. */
  close(options: { readonly graceMs: number }): Promise<void>;
}

/** Messages of one stream that are worked on at once; beyond it the stream is held back. */
const maxPendingMessages = 64;

interface Door extends RpcContext {
  readonly door: GrpcDoorOptions;
}

/** Makes a door; it listens once told to. */
export function createGrpcDoor(door: GrpcDoorOptions): GrpcDoor {
  const { options } = door;
  const server = createGrpcServer({
    methods: methodTable({ door, pipeline: door.pipeline, logger: door.logger }),
    admit: (head) => refusedHead(door, head),
    maxMessageBytes: options.maxBodyBytes,
    maxTotalBytes: options.maxTotalBodyBytes,
    maxConnections: options.maxConnections,
    requestTimeoutMs: options.receiveTimeoutMs,
    onHandlerError: (error, path) => door.logger.error("handler_failed", { path, cause: String(error) }),
  });
  return {
    async listen() {
      try {
        return { host: options.host, port: await server.listen({ host: options.host, port: options.port }) };
      } catch (cause) {
        const where = `${options.host}:${options.port}`;
        throw new GatewayError("internal", `gRPC cannot listen on ${where}: ${String(cause)}`, { cause });
      }
    },
    close: ({ graceMs }) => server.close({ graceMs }),
  };
}

function methodTable(door: Door): GrpcServerOptions["methods"] {
  const table = new Map<string, MethodHandler>(door.door.services);
  for (const method of door.door.methods) {
    const meter = new MethodMeter(method.path, door.door.metrics);
    table.set(
      method.path,
      method.kind === "unary"
        ? { kind: "unary", handle: (call) => handleUnary(door, { method, meter }, call) }
        : { kind: "stream", handle: (call) => handleMessages(door, { method, meter }, call) },
    );
  }
  return table;
}

interface Metered {
  readonly method: RpcMethod;
  readonly meter: MethodMeter;
}

/** Admission by the head alone; a caller that needs time to be known is judged when the message is in. */
function refusedHead(
  door: GrpcDoorOptions,
  head: ServerCallHead,
): { code: GrpcStatusCode; message: string } | undefined {
  const verdict = admit(door, head);
  if (verdict instanceof Promise || !isFailure(verdict)) return undefined;
  return { code: statusOf(verdict), message: verdict.message };
}

function admit(door: GrpcDoorOptions, head: ServerCallHead): Caller | Failure | Promise<Caller | Failure> {
  const scope = door.methods.find((method) => method.path === head.path)?.scope ?? "status";
  const headers = toHeaderMap(head.metadata);
  return door.pipeline.admit({
    door: "grpc",
    method: "POST",
    path: head.path,
    headers,
    remoteAddress: head.peer,
    scope,
  });
}

function toHeaderMap(metadata: Metadata): HeaderMap {
  const headers: Record<string, string> = {};
  for (const [name, value] of metadata) headers[name === ":authority" ? "host" : name] ??= value;
  return headers;
}

function statusOf(reason: Failure): GrpcStatusCode {
  return errorTable[reason.code].grpc as GrpcStatusCode;
}

/** `grpc-retry-pushback-ms` tells clients with a retry policy how long to wait (gRFC A6). */
function failureMetadata(reason: Failure, requestId: string): Metadata {
  const id = ["x-request-id", requestId] as const;
  if (reason.retryAfterMs === undefined) return [id];
  return [id, ["grpc-retry-pushback-ms", String(Math.ceil(reason.retryAfterMs))]];
}

function handleUnary(door: Door, { method, meter }: Metered, call: UnaryServerCall): void {
  const started = door.door.clock.now();
  withCall(door.door, call, (rpcCall) => {
    const answer = (outcome: Failure | readonly Uint8Array[]): void => {
      const { requestId } = rpcCall;
      meter.ended(isFailure(outcome) ? statusOf(outcome) : 0, door.door.clock.now() - started);
      if (isFailure(outcome))
        call.fail(statusOf(outcome), outcome.message, failureMetadata(outcome, requestId));
      else call.respond(outcome, [["x-request-id", requestId]]);
    };
    call.onCancel(() => rpcCall.cancellation.cancel("client_gone"));
    runMethod(door, method, rpcCall, (outcome) =>
      answer("failure" in outcome ? outcome.failure : outcome.message),
    );
  });
}

/** Reads the caller and makes the call that methods see; refuses where a late admission says so. */
function withCall(door: GrpcDoorOptions, call: UnaryServerCall, go: (call: RpcCall) => void): void {
  const verdict = admit(door, call);
  const decided = (caller: Caller | Failure): void => {
    if (isFailure(caller)) call.fail(statusOf(caller), caller.message);
    else go(toRpcCall(door, call, { message: call.message, caller, cancellation: new Cancellation() }));
  };
  if (verdict instanceof Promise) verdict.then(decided, () => call.fail(13, errorTable.internal.text));
  else decided(verdict);
}

function toRpcCall(
  door: GrpcDoorOptions,
  head: ServerCallHead,
  parts: Pick<RpcCall, "message" | "caller" | "cancellation">,
): RpcCall {
  const metadata = toHeaderMap(head.metadata);
  const given = metadata["x-request-id"];
  const requestId = typeof given === "string" && given.length <= 128 ? given : door.random.id();
  return {
    path: head.path,
    metadata,
    requestId,
    receivedAt: door.clock.now(),
    timeoutMs: head.timeoutMs,
    ...parts,
  };
}

/** Each message is a call of its own; answers go out in the order of their messages. */
function handleMessages(door: Door, { method, meter }: Metered, stream: StreamServerCall): void {
  const waiting: {
    outcome: readonly Uint8Array[] | Failure | undefined;
    readonly cancellation: Cancellation;
  }[] = [];
  let closed = false;
  let ended = false;
  const flush = (): void => {
    for (let first = waiting[0]; first?.outcome !== undefined && !closed; first = waiting[0]) {
      waiting.shift();
      const { outcome } = first;
      if (isFailure(outcome)) {
        closed = true;
        stream.fail(statusOf(outcome), outcome.message);
      } else stream.send(outcome);
    }
    if (waiting.length < maxPendingMessages) stream.resume();
    if (ended && waiting.length === 0 && !closed) stream.end();
  };
  stream.onMessage((message) => {
    const entry = {
      outcome: undefined as readonly Uint8Array[] | Failure | undefined,
      cancellation: new Cancellation(),
    };
    waiting.push(entry);
    if (waiting.length >= maxPendingMessages) stream.pause();
    const started = door.door.clock.now();
    const settle = (outcome: readonly Uint8Array[] | Failure): void => {
      meter.ended(isFailure(outcome) ? statusOf(outcome) : 0, door.door.clock.now() - started);
      entry.outcome = outcome;
      flush();
    };
    const admitted = (caller: Caller | Failure): void => {
      if (isFailure(caller)) return settle(caller);
      const call = toRpcCall(door.door, stream, { message, caller, cancellation: entry.cancellation });
      runMethod(door, method, call, (outcome) =>
        settle("failure" in outcome ? outcome.failure : outcome.message),
      );
    };
    const verdict = admit(door.door, stream);
    if (verdict instanceof Promise) verdict.then(admitted, () => settle(failure("internal")));
    else admitted(verdict);
  });
  stream.onEnd(() => {
    ended = true;
    flush();
  });
  stream.onCancel(() => {
    closed = true;
    for (const entry of waiting) entry.cancellation.cancel("client_gone");
  });
}
