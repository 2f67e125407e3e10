/** Opens the doors and closes them together. */
import type { MethodHandler } from "@spillway/grpc";
import { healthCheck, healthWatch, serverReflection } from "@spillway/worker/standard-services";
import type { ForwardCatalog } from "../contracts/http-endpoint.ts";
import type { ModelCatalog } from "../contracts/models.ts";
import type { Pipeline } from "../contracts/pipeline.ts";
import { createGrpcDoor, type GrpcDoor } from "../doors/grpc/grpc-door.ts";
import { createHttpDoor, type HttpDoor } from "../doors/http/http-door.ts";
import type { GatewayConfig, GatewayContext } from "./options.ts";
import { collectAddresses } from "./routes.ts";

/** A bound address. */
export interface BoundAddress {
  readonly host: string;
  readonly port: number;
}

/** Where the gateway listens. */
export interface Listening {
  readonly http: readonly BoundAddress[];
  /** Undefined: no gRPC. */
  readonly grpc: BoundAddress | undefined;
}

/** Open doors. */
export interface Doors {
  readonly listening: Listening;
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
}

const services = ["inference.GRPCInferenceService", "inference.ModelInference"];

/** Listens on every configured address. When one cannot be had, the others are closed again and it throws. */
export async function openDoors(parts: DoorParts): Promise<Doors> {
  const { config, context, pipeline } = parts;
  let draining = false;
  const addresses = collectAddresses({ ...parts, draining: () => draining });
  const health = new HealthState(() => !draining && parts.catalog.ready());
  const http = config.http.map((options) =>
    createHttpDoor({
      ...context,
      routes: addresses.routes,
      pipeline,
      options,
      origins: config.access.origins,
    }),
  );
  const grpc =
    config.grpc === undefined
      ? undefined
      : createGrpcDoor({
          ...context,
          methods: addresses.methods,
          services: standardServices(health),
          pipeline,
          options: config.grpc,
        });
  const close = async (options: { readonly graceMs: number }): Promise<void> => {
    draining = true;
    health.changed();
    const open: readonly (HttpDoor | GrpcDoor)[] = grpc === undefined ? http : [...http, grpc];
    await Promise.all(open.map((door) => door.close(options)));
    addresses.close();
  };
  try {
    const bound = await Promise.all(http.map((door) => door.listen()));
    const listening = { http: bound, grpc: await grpc?.listen() };
    return { listening, notifyHealth: () => health.changed(), close };
  } catch (error) {
    await close({ graceMs: 0 });
    throw error;
  }
}

/** Readiness as the health service sees it. */
class HealthState {
  readonly isServing: () => boolean;
  readonly #listeners = new Set<() => void>();

  constructor(isServing: () => boolean) {
    this.isServing = isServing;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changed(): void {
    for (const listener of this.#listeners) listener();
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
