/** The ext_proc door: Envoy asks here where requests go (Endpoint Picker Protocol, proposal 004). */
import { createGrpcServer, type GrpcServer, type MethodHandler, type StreamServerCall } from "@spillway/grpc";
import type { Explanations } from "../../contracts/explanation.ts";
import type { ForwardCatalog } from "../../contracts/http-endpoint.ts";
import type { Inspect, Snapshot } from "../../contracts/inspect.ts";
import type { Certificate, ExtProcOptions } from "../../contracts/options.ts";
import type { Pipeline } from "../../contracts/pipeline.ts";
import type { Route } from "../../contracts/route.ts";
import type { Logger, Metrics } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import { listenError } from "../../core/listen-error.ts";
import type { Random } from "../../core/random.ts";
import { createExtProcMeters } from "./extproc-metrics.ts";
import type { CarriedEnd } from "./picked-request.ts";
import { OpenStreams } from "./open-streams.ts";
import { ProcessStream } from "./process-stream.ts";
import { RouteTable } from "./route-table.ts";
import type { StreamContext } from "./stream-context.ts";
import { UsualBody } from "./usual-body.ts";

/** Path of the one method. */
export const processPath = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/** What a door needs. */
export interface ExtProcDoorOptions {
  readonly options: ExtProcOptions;
  /** Those that ask models with a body say what a request is; the others are not looked at. */
  readonly routes: readonly Route[];
  readonly pipeline: Pipeline;
  readonly pools: Pick<ForwardCatalog, "pools">;
  /** Hears of every request that Envoy carried, once, when it has ended. */
  readonly onCarried: (carried: CarriedEnd) => void;
  /** What is known of decisions, where scores are told. */
  readonly explanations: Explanations;
  /** Health, by path, for both ports. */
  readonly services: ReadonlyMap<string, MethodHandler>;
  /** The door closes, and no request is left: who watches its health is to go. Called once. */
  readonly onDrained: () => void;
  /** Undefined: plain text. Health is plain text always. */
  readonly certificate: Certificate | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Where a door listens. */
export interface ExtProcListening {
  readonly host: string;
  readonly port: number;
  /** Undefined: health is answered on `port` only. */
  readonly healthPort: number | undefined;
}

/** A listener for Envoy. */
export interface ExtProcDoor extends Inspect {
  /** Rejects with a `GatewayError` that says what to do when an address cannot be had. */
  listen(): Promise<ExtProcListening>;
  /** Takes another certificate for new connections; those that are open stay. Of a door with a certificate. */
  renew(certificate: Certificate): void;
  /** Stops accepting, lets streams finish for `graceMs`, then ends them. Idempotent. */
  close(options: { readonly graceMs: number }): Promise<void>;
}

/** Makes a door; it listens once told to. */
export function createExtProcDoor(options: ExtProcDoorOptions): ExtProcDoor {
  return new SpillwayExtProcDoor(options);
}

/** Of gRPC: a message has a piece of a body, or a head with metadata. */
const maxMessageBytes = 4_194_304;
/** Of gRPC, over what bodies may have: messages that are not complete, replies that are not sent. */
const bytesUnderWay = 134_217_728;
/** A proxy has few connections and a stream for each request: some of them it resets at every end. */
const manners = { burst: 1_000_000, perSecond: 100_000 };
/** Who watches health may be slow to go: it does not hold a door that closes. */
const healthGraceMs = 100;

class SpillwayExtProcDoor implements ExtProcDoor {
  readonly #door: ExtProcDoorOptions;
  readonly #context: StreamContext;
  readonly #server: GrpcServer;
  readonly #health: GrpcServer | undefined;
  readonly #streams = new OpenStreams();
  #listening: ExtProcListening;
  #closing: Promise<void> | undefined;

  constructor(door: ExtProcDoorOptions) {
    const { options, certificate, logger, services } = door;
    this.#door = door;
    this.#context = contextOf(door);
    this.#listening = { host: options.host, port: options.port, healthPort: options.healthPort };
    const onHandlerError = (error: unknown, path: string): void =>
      logger.error("extproc_failed", { path, error: error instanceof Error ? error.stack : String(error) });
    this.#server = createGrpcServer({
      ...(certificate === undefined ? {} : { tls: certificate }),
      methods: new Map([...services, [processPath, { kind: "stream", handle: (call) => this.#open(call) }]]),
      maxMessageBytes: Math.max(maxMessageBytes, options.maxBodyBytes + 65_536),
      maxTotalBytes: options.maxTotalBodyBytes + bytesUnderWay,
      maxConnections: options.maxConnections,
      maxConcurrentStreams: options.maxStreams,
      streamResets: manners,
      controlFrames: manners,
      onHandlerError,
    });
    this.#health =
      options.healthPort === undefined
        ? undefined
        : createGrpcServer({ methods: services, maxConnections: options.maxConnections, onHandlerError });
  }

  async listen(): Promise<ExtProcListening> {
    const { host, port, healthPort } = this.#door.options;
    const bound = await listenAt(this.#server, { host, port, what: "ext_proc" });
    const health =
      this.#health === undefined || healthPort === undefined
        ? undefined
        : await listenAt(this.#health, { host, port: healthPort, what: "the health of ext_proc" });
    this.#listening = { host, port: bound, healthPort: health };
    return this.#listening;
  }

  renew(certificate: Certificate): void {
    this.#server.renew(certificate);
  }

  close({ graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  inspect(): Snapshot {
    const { host, port } = this.#listening;
    return {
      host,
      port,
      streams: this.#streams.size,
      state: this.#closing === undefined ? "open" : "draining",
    };
  }

  async #close(graceMs: number): Promise<void> {
    const cut = this.#door.clock.after(graceMs, () => {
      this.#streams.each((stream) => stream.cutOff());
    });
    const closed = this.#server.close({ graceMs: graceMs + healthGraceMs });
    this.#streams.whenEmpty(this.#door.onDrained);
    await closed;
    cut.cancel();
    await this.#health?.close({ graceMs: healthGraceMs });
  }

  #open(call: StreamServerCall): void {
    const stream = new ProcessStream(this.#context, call);
    this.#streams.add(stream);
    stream.listen(this.#streams);
  }
}

function contextOf({ options, metrics, routes, ...door }: ExtProcDoorOptions): StreamContext {
  const { pipeline, pools, clock, random, logger, onCarried, explanations } = door;
  return {
    pipeline,
    pools,
    onCarried,
    explanations: options.scores ? explanations : undefined,
    routes: new RouteTable(routes),
    limits: {
      maxBodyBytes: options.maxBodyBytes,
      maxTotalBodyBytes: options.maxTotalBodyBytes,
      maxHeaders: options.maxHeaders,
    },
    usualBody: new UsualBody(),
    subsets: options.subsets,
    clock,
    random,
    logger,
    meters: createExtProcMeters(metrics),
  };
}

async function listenAt(
  server: GrpcServer,
  { host, port, what }: { readonly host: string; readonly port: number; readonly what: string },
): Promise<number> {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    throw listenError(error, { host, port, what });
  }
}
