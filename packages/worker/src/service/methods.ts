/** Every gRPC method of a worker by its path. */
import type { MethodHandler } from "@spillway/grpc";
import { grpcStatus } from "@spillway/grpc";
import { inference } from "@spillway/protocol";
import type { ModelRegistry } from "../model/model-registry.ts";
import { isRefusal } from "../refusal.ts";
import type { HealthSource } from "./health.ts";
import { healthCheck, healthWatch } from "./health.ts";
import { modelInfer, predict } from "./infer.ts";
import type { ServerIdentity } from "./metadata.ts";
import { modelConfig, modelMetadata, modelStatistics, serverMetadata } from "./metadata.ts";
import type { MessageCodec, Reply } from "./method.ts";
import { unaryMethod } from "./method.ts";
import { serverReflection } from "./reflection.ts";
import type { RepositoryControl } from "./repository-calls.ts";
import { repositoryIndex, repositoryModelLoad, repositoryModelUnload } from "./repository-calls.ts";

/** What the methods answer from. */
export interface WorkerServiceOptions {
  readonly registry: ModelRegistry;
  readonly identity: ServerIdentity;
  /** True while requests are taken: false during the first loading and while draining. */
  readonly isServing: () => boolean;
  /** Absent: load and unload are answered UNIMPLEMENTED. */
  readonly control?: RepositoryControl;
}

/** Services that health knows and reflection lists. */
export const serviceNames = [
  "inference.GRPCInferenceService",
  "inference.ModelInference",
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
] as const;

/** Health of a worker: it takes requests, and at least one model can answer them or there is none at all. */
export function workerHealth({ registry, isServing }: WorkerServiceOptions): HealthSource {
  return {
    isServing: () => {
      const entries = registry.entries();
      return isServing() && (entries.length === 0 || entries.some(({ state }) => state.state === "ready"));
    },
    onChange: (listener) => registry.onChange(listener),
  };
}

/** The table for `createGrpcServer`. */
export function workerMethods(options: WorkerServiceOptions): Map<string, MethodHandler> {
  const { registry, control, identity } = options;
  const health = workerHealth(options);
  const known = new Set<string>(serviceNames);
  const methods = new Map<string, MethodHandler>([
    ["/inference.GRPCInferenceService/ModelInfer", modelInfer(registry)],
    ["/inference.ModelInference/Predict", predict(registry)],
    ["/grpc.health.v1.Health/Check", healthCheck(health, known)],
    ["/grpc.health.v1.Health/Watch", healthWatch(health, known)],
    ["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", serverReflection("v1", serviceNames)],
    [
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
      serverReflection("v1alpha", serviceNames),
    ],
  ]);
  const add = <Message extends object>(
    name: string,
    codec: MessageCodec<Message>,
    handle: (request: Message) => Reply | Promise<Reply>,
  ) => methods.set(`/inference.GRPCInferenceService/${name}`, unaryMethod(codec, handle));
  add("ServerLive", inference.ServerLiveRequest, () => [
    inference.ServerLiveResponse.encode({ live: true }).finish(),
  ]);
  add("ServerReady", inference.ServerReadyRequest, () => [
    inference.ServerReadyResponse.encode({ ready: health.isServing("") }).finish(),
  ]);
  add("ModelReady", inference.ModelReadyRequest, (request) => modelReady(registry, request));
  add("ServerMetadata", inference.ServerMetadataRequest, () => serverMetadata(identity));
  add("ModelMetadata", inference.ModelMetadataRequest, (request) => modelMetadata(registry, request));
  add("ModelConfig", inference.ModelConfigRequest, (request) => modelConfig(registry, request));
  add("ModelStatistics", inference.ModelStatisticsRequest, (request) => modelStatistics(registry, request));
  add("RepositoryIndex", inference.RepositoryIndexRequest, (request) => repositoryIndex(registry, request));
  add("RepositoryModelLoad", inference.RepositoryModelLoadRequest, (request) =>
    repositoryModelLoad(control, request),
  );
  add("RepositoryModelUnload", inference.RepositoryModelUnloadRequest, (request) =>
    repositoryModelUnload(control, request),
  );
  return methods;
}

/** Not ready is an answer; only a model that does not exist is a failure. */
function modelReady(registry: ModelRegistry, request: inference.ModelReadyRequest): Reply {
  const model = registry.find(request.name, request.version);
  if (isRefusal(model) && model.code === grpcStatus.notFound) return model;
  return [inference.ModelReadyResponse.encode({ ready: !isRefusal(model) }).finish()];
}
