/** Opens the doors and closes them together. */
import type { MethodHandler } from "@spillway/grpc";
import { healthCheck, healthWatch, serverReflection } from "@spillway/worker/standard-services";
import type { ForwardCatalog } from "../contracts/http-endpoint.ts";
import type { ModelCatalog } from "../contracts/models.ts";
import type { DoorOptions, TlsFiles } from "../contracts/options.ts";
import type { Pipeline } from "../contracts/pipeline.ts";
import type { RequestRecords } from "../contracts/request-record.ts";
import { createGrpcDoor, type GrpcDoor } from "../doors/grpc/grpc-door.ts";
import { createHttpDoor, type HttpDoor } from "../doors/http/http-door.ts";
import { keepCertificate, type KeptCertificate } from "./certificates.ts";
import type { Edge } from "./edge.ts";
import type { Forwarding } from "./forward.ts";
import type { ExtProcAddress, OpenExtProc } from "./extproc.ts";
import { HealthState } from "./health-state.ts";
import type { GatewayConfig, GatewayContext } from "./options.ts";
import type { PickerWatch } from "./picker-watch.ts";
import { collectAddresses } from "./routes.ts";

/** A bound address. */
export interface BoundAddress {
  readonly host: string;
  readonly port: number;
  /** With TLS. */
  readonly secure: boolean;
  /** What is not served here goes to the edge endpoint's cloud. */
  readonly edge?: boolean;
}

/** Where the gateway listens. */
export interface Listening {
  readonly http: readonly BoundAddress[];
  /** Undefined: no gRPC. */
  readonly grpc: BoundAddress | undefined;
  /** Where Envoy asks; undefined: nowhere. */
  readonly extProc: ExtProcAddress | undefined;
}

/** Open doors. */
export interface Doors {
  readonly listening: Listening;
  /** Web pages of these origins, and no others, may read answers from now on. */
  allow(origins: readonly string[]): void;
  /** Tells the watchers of `grpc.health.v1` to look again. */
  notifyHealth(): void;
  close(options: { readonly graceMs: number }): Promise<void>;
}

/** What doors are made from. */
export interface DoorParts {
  readonly config: GatewayConfig;
  readonly context: GatewayContext;
  readonly pipeline: Pipeline;
  readonly catalog: ModelCatalog;
  /** Pools of HTTP servers and their models. */
  readonly forward: ForwardCatalog;
  /** What became of the last requests. */
  readonly records: RequestRecords;
  readonly watch: PickerWatch | undefined;
  /** Counts requests that Envoy carries. */
  readonly carried: Forwarding["carried"];
  /** Undefined: there is no edge endpoint. */
  readonly edge: Edge | undefined;
}

const services = ["inference.GRPCInferenceService", "inference.ModelInference"];

/** Listens on every configured address. When one cannot be had, the others are closed again and it throws. */
export async function openDoors(parts: DoorParts): Promise<Doors> {
  const { config, context, pipeline } = parts;
  let draining = false;
  const addresses = collectAddresses({ ...parts, draining: () => draining });
  const health = new HealthState(() => !draining && parts.catalog.ready());
  const certificates = new Certificates(context);
  const http: HttpDoor[] = [];
  let grpc: GrpcDoor | undefined;
  let extProc: OpenExtProc | undefined;
  const close = async (options: { readonly graceMs: number }): Promise<void> => {
    draining = true;
    health.changed();
    const open: readonly (HttpDoor | GrpcDoor)[] = grpc === undefined ? http : [...http, grpc];
    await Promise.all([...open.map((door) => door.close(options)), extProc?.close(options)]);
    certificates.close();
    addresses.close();
  };
  try {
    for (const options of config.http) {
      const kept = await certificates.keep(options.tls);
      const all = [...addresses.routes, ...((options.edge === true && parts.edge?.portRoutes) || [])];
      const { scopes } = options;
      const served = scopes === undefined ? all : all.filter(({ scope }) => scopes.includes(scope));
      const routes = [addresses.welcome(served), ...served];
      const { origins } = config.access;
      const { certificate } = kept ?? {};
      const door = createHttpDoor({ ...context, routes, pipeline, options, certificate, origins });
      if (kept !== undefined) kept.renew = (next) => door.renew(next);
      http.push(door);
    }
    if (config.grpc !== undefined) {
      const kept = await certificates.keep(config.grpc.tls);
      const door = createGrpcDoor({
        ...context,
        methods: addresses.methods,
        services: standardServices(health),
        pipeline,
        options: config.grpc,
        certificate: kept?.certificate,
      });
      if (kept !== undefined) kept.renew = (next) => door.renew(next);
      grpc = door;
    }
    const bound = await Promise.all(http.map((door, i) => listen(door, config.http[i], context)));
    const rpc = await grpc?.listen();
    if (config.extProc !== undefined) {
      // Loaded where it is wanted: the door is a megabyte that most gateways never open.
      const { openExtProc } = await import("./extproc.ts");
      extProc = await openExtProc(config.extProc, { ...parts, health, routes: addresses.routes });
    }
    const listening = {
      http: bound.filter((address) => address !== undefined),
      grpc: rpc && { ...rpc, secure: config.grpc?.tls !== undefined },
      extProc: extProc?.address,
    };
    return {
      listening,
      allow(origins) {
        for (const door of http) door.allow(origins);
      },
      notifyHealth: () => health.changed(),
      close,
    };
  } catch (error) {
    await close({ graceMs: 0 });
    throw error;
  }
}

/** Undefined for an optional door whose address cannot be had. */
async function listen(
  door: HttpDoor,
  options: DoorOptions | undefined,
  { logger }: GatewayContext,
): Promise<BoundAddress | undefined> {
  try {
    const secure = options?.tls !== undefined;
    return { ...(await door.listen()), secure, ...(options?.edge === true && { edge: true }) };
  } catch (error) {
    if (options?.optional !== true) throw error;
    logger.warn("listener_skipped", {
      port: options.port,
      reason: error instanceof Error ? error.message : String(error),
    });
    return undefined;
  }
}

/** The certificates of all doors. */
class Certificates {
  readonly #context: GatewayContext;
  readonly #kept: KeptCertificate[] = [];

  constructor(context: GatewayContext) {
    this.#context = context;
  }

  /** Undefined for a door without TLS. */
  async keep(files: TlsFiles | undefined): Promise<KeptCertificate | undefined> {
    if (files === undefined) return undefined;
    const kept = await keepCertificate(files, this.#context);
    this.#kept.push(kept);
    return kept;
  }

  close(): void {
    for (const each of this.#kept) each.close();
  }
}

function standardServices(health: HealthState): Map<string, MethodHandler> {
  const known = new Set(services);
  const listed = [...services, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"];
  return new Map([
    ["/grpc.health.v1.Health/Check", healthCheck(health, known)],
    ["/grpc.health.v1.Health/Watch", healthWatch(health, known)],
    ["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", serverReflection("v1", listed)],
    ["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", serverReflection("v1alpha", listed)],
  ]);
}
