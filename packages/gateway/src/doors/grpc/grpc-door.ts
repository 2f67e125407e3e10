/** The gRPC door: owns the listener and the method table, knows no dialect. */
import {
  createGrpcServer,
  type GrpcServer,
  type GrpcServerOptions,
  type MethodHandler,
  type ServerCallHead,
  type StreamServerCall,
  type UnaryServerCall,
} from "@spillway/grpc";
import type { Inspect, Snapshot } from "../../contracts/inspect.ts";
import type { Certificate, DoorOptions } from "../../contracts/options.ts";
import type { Pipeline } from "../../contracts/pipeline.ts";
import type { RpcMethod } from "../../contracts/route.ts";
import type { Logger, Metrics } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import { isFailure, toFailure, type Failure } from "../../core/errors.ts";
import { headerValue } from "../../core/headers.ts";
import { listenError } from "../../core/listen-error.ts";
import type { Random } from "../../core/random.ts";
import type { RouteScope } from "../../core/request.ts";
import { requestIdFrom } from "../../core/request-id.ts";
import { createGrpcMeters, MethodMeter } from "./grpc-metrics.ts";
import { answerStream } from "./message-stream.ts";
import { toHeaderMap, type AdmittedHead, type MeteredMethod, type OpenStream } from "./rpc-context.ts";
import { failureMetadata, statusOf } from "./rpc-status.ts";
import { trackStream } from "./service-stream.ts";
import { answerUnary } from "./unary-call.ts";

/** What a door needs. */
export interface GrpcDoorOptions {
  readonly methods: readonly RpcMethod[];
  /** Methods that are answered without the pipeline, by path: health, reflection. Health needs no scope, the others `status`. */
  readonly services: ReadonlyMap<string, MethodHandler>;
  readonly pipeline: Pipeline;
  readonly options: DoorOptions;
  /** Undefined: plain text. */
  readonly certificate?: Certificate | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** A gRPC listener. */
export interface GrpcDoor extends Inspect {
  /** Rejects with a `GatewayError` that says what to do when the address cannot be had. */
  listen(): Promise<{ readonly host: string; readonly port: number }>;
  /** Takes another certificate for new connections; those that are open stay. Of a door with a certificate. */
  renew(certificate: Certificate): void;
  /**
   * Stops accepting, ends streams once what they were sent is answered, lets calls finish for
   * `graceMs`, then cuts them. Idempotent.
   */
  close(options: { readonly graceMs: number }): Promise<void>;
}

/** Makes a door; it listens once told to. Throws a TypeError for two methods with one path. */
export function createGrpcDoor(options: GrpcDoorOptions): GrpcDoor {
  return new SpillwayGrpcDoor(options);
}

class SpillwayGrpcDoor implements GrpcDoor {
  readonly #door: GrpcDoorOptions;
  readonly #methods: ReadonlyMap<string, MeteredMethod>;
  /** Verdicts on calls whose message is still to come. Weak: a call that never completes takes its verdict along. */
  readonly #admitted = new WeakMap<ServerCallHead, AdmittedHead>();
  readonly #server: GrpcServer;
  readonly #streams = new Set<OpenStream>();
  #port: number;
  #state: "new" | "listening" | "draining" = "new";

  constructor(door: GrpcDoorOptions) {
    const { options, logger } = door;
    this.#door = door;
    this.#port = options.port;
    this.#methods = meterMethods(door);
    this.#server = createGrpcServer({
      ...(door.certificate === undefined ? {} : { tls: door.certificate }),
      methods: this.#handlers(),
      admit: (head) => this.#admit(head),
      maxMessageBytes: options.maxBodyBytes,
      maxTotalBytes: options.maxTotalBodyBytes,
      maxConnections: options.maxConnections,
      requestTimeoutMs: options.receiveTimeoutMs,
      onHandlerError: (error, path) =>
        logger.error("grpc_handler_failed", {
          path,
          error: error instanceof Error ? error.stack : String(error),
        }),
    });
  }

  async listen(): Promise<{ readonly host: string; readonly port: number }> {
    const { host, port } = this.#door.options;
    try {
      this.#port = await this.#server.listen({ host, port });
    } catch (error) {
      throw listenError(error, { host, port, what: "gRPC" });
    }
    this.#state = "listening";
    return { host, port: this.#port };
  }

  renew(certificate: Certificate): void {
    this.#server.renew(certificate);
  }

  close({ graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#state = "draining";
    const closed = this.#server.close({ graceMs });
    for (const stream of this.#streams) stream.drain();
    return closed;
  }

  inspect(): Snapshot {
    return { host: this.#door.options.host, port: this.#port, state: this.#state };
  }

  /** Judges a call by its head, before a byte of its message is kept. */
  #admit(call: ServerCallHead): ReturnType<NonNullable<GrpcServerOptions["admit"]>> {
    const { pipeline, clock, random } = this.#door;
    const known = this.#methods.get(call.path);
    const metadata = toHeaderMap(call.metadata);
    const caller = pipeline.admit({
      door: "grpc",
      method: "POST",
      path: call.path,
      headers: metadata,
      remoteAddress: call.peer,
      scope: known?.method.scope ?? serviceScope(call.path),
    });
    const requestId = requestIdFrom(headerValue(metadata, "x-request-id"), random);
    if (!(caller instanceof Promise) && isFailure(caller)) {
      known?.meter.refused(statusOf(caller));
      return {
        code: statusOf(caller),
        message: caller.message,
        metadata: failureMetadata(caller, requestId),
      };
    }
    this.#admitted.set(call, { receivedAt: clock.now(), metadata, requestId, caller });
    return undefined;
  }

  #handlers(): GrpcServerOptions["methods"] {
    const handlers = new Map<string, MethodHandler>();
    for (const [path, handler] of this.#door.services) handlers.set(path, this.#guarded(handler));
    for (const [path, { method, meter }] of this.#methods) {
      handlers.set(path, this.#handler({ method, meter }));
    }
    return handlers;
  }

  #handler(metered: MeteredMethod): MethodHandler {
    const context = this.#door;
    const open = <Call extends ServerCallHead>(call: Call) => ({
      ...metered,
      context,
      call,
      head: this.#headOf(call),
      streams: this.#streams,
    });
    return metered.method.kind === "unary"
      ? { kind: "unary", handle: (call) => answerUnary(open(call)) }
      : { kind: "stream", handle: (call) => answerStream(open(call)) };
  }

  /** A service of its own, which waits where its caller is still being verified. */
  #guarded(handler: MethodHandler): MethodHandler {
    if (handler.kind === "unary") {
      return { kind: "unary", handle: (call) => this.#onceAdmitted(call, () => handler.handle(call)) };
    }
    return {
      kind: "stream",
      handle: (call) => {
        const waits = this.#headOf(call).caller instanceof Promise;
        if (waits) call.pause();
        this.#onceAdmitted(call, () => {
          handler.handle(trackStream(call, this.#streams, this.#headOf(call).requestId));
          if (waits) call.resume();
        });
      },
    };
  }

  #onceAdmitted(call: UnaryServerCall | StreamServerCall, go: () => void): void {
    const { caller, requestId } = this.#headOf(call);
    if (!(caller instanceof Promise)) return go();
    const refuse = (reason: Failure): void =>
      call.fail(statusOf(reason), reason.message, failureMetadata(reason, requestId));
    caller.then(
      (later) => (isFailure(later) ? refuse(later) : go()),
      (error: unknown) => refuse(toFailure(error)),
    );
  }

  #headOf(call: ServerCallHead): AdmittedHead {
    const head = this.#admitted.get(call);
    // The server asks for each call before it hands it over.
    if (head === undefined) throw new TypeError("a call came without its admission");
    return head;
  }
}

/** Health is asked for by what restarts and balances gateways, which has no key. */
function serviceScope(path: string): RouteScope {
  return path.startsWith("/grpc.health.v1.Health/") ? "open" : "status";
}

function meterMethods({ methods, services, metrics }: GrpcDoorOptions): Map<string, MeteredMethod> {
  const meters = createGrpcMeters(metrics);
  const metered = new Map<string, MeteredMethod>();
  for (const method of methods) {
    if (metered.has(method.path) || services.has(method.path)) {
      throw new TypeError(`two methods answer ${method.path}`);
    }
    metered.set(method.path, { method, meter: new MethodMeter(meters, method.path) });
  }
  return metered;
}
