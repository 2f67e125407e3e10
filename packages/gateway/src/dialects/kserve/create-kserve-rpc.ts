/** `inference.GRPCInferenceService`: the protocol's six calls and Triton's extensions over gRPC. */
import { inference } from "@spillway/protocol";
import type { RouteResult, RpcMethod } from "../../contracts/route.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { RouteScope } from "../../core/request.ts";
import { decodeMessage } from "../decode-message.ts";
import { rpcAnswer } from "../rpc-answer.ts";
import type { KserveDeps } from "./deps.ts";
import { modelMetadata, serverExtensions } from "./metadata.ts";
import { changeModel, repositoryIndex } from "./repository-calls.ts";
import { encodeStreamError, handleRpcInfer } from "./infer-rpc.ts";
import { configMessage, statisticsMessage } from "./rpc-messages.ts";

const service = "/inference.GRPCInferenceService/";

/** All methods of the service. */
export function createKserveRpc(deps: KserveDeps): RpcMethod[] {
  return [
    ...healthMethods(deps),
    ...describingMethods(deps),
    ...inferMethods(deps),
    ...repositoryMethods(deps),
    ...notOffered.map(([name, text]) =>
      method(name, { scope: "infer", type: undefined, answer: () => failure("unimplemented", text) }),
    ),
  ];
}

/** Calls that are listed for clients that ask for them. */
const notOffered: readonly (readonly [name: string, text: string])[] = [
  ...["System", "Cuda"].flatMap((kind) =>
    ["Status", "Register", "Unregister"].map(
      (action) =>
        [
          `${kind}SharedMemory${action}`,
          "Shared memory is not offered; send tensors in the request",
        ] as const,
    ),
  ),
  ["TraceSetting", "Trace settings are not offered"],
  ["LogSettings", "Log settings are not offered; they are part of the gateway's configuration"],
];

interface MessageType<Message> {
  readonly name: string;
  decode(bytes: Uint8Array): Message;
}

interface MethodParts<Message> {
  readonly scope: RouteScope;
  /** Undefined: the request is not looked at. */
  readonly type: MessageType<Message> | undefined;
  /** The encoded answer. */
  readonly answer: (message: Message) => Uint8Array | Failure | Promise<Uint8Array | Failure>;
}

/** A unary method that answers at once or after a promise, without the pipeline. */
function method<Message extends object>(
  name: string,
  { scope, type, answer }: MethodParts<Message>,
): RpcMethod {
  const finish = (result: Uint8Array | Failure): RouteResult =>
    isFailure(result) ? result : rpcAnswer([result]);
  return {
    path: `${service}${name}`,
    scope,
    kind: "unary",
    handle: (call) => {
      const message = type === undefined ? ({} as Message) : decodeMessage(type, call.message);
      if (isFailure(message)) return message;
      const result = answer(message);
      return result instanceof Promise ? result.then(finish) : finish(result);
    },
  };
}

function versionOf(message: { readonly version: string }): string | undefined {
  return message.version === "" ? undefined : message.version;
}

function healthMethods({ catalog, server }: KserveDeps): RpcMethod[] {
  return [
    method("ServerLive", {
      scope: "open",
      type: undefined,
      answer: () => inference.ServerLiveResponse.encode({ live: true }).finish(),
    }),
    method("ServerReady", {
      scope: "open",
      type: undefined,
      answer: () => inference.ServerReadyResponse.encode({ ready: catalog.ready() }).finish(),
    }),
    method("ModelReady", {
      scope: "status",
      type: inference.ModelReadyRequest,
      answer: (message) => {
        const ready = catalog.isReady(message.name, versionOf(message));
        return inference.ModelReadyResponse.encode({ ready }).finish();
      },
    }),
    method("ServerMetadata", {
      scope: "status",
      type: undefined,
      answer: () =>
        inference.ServerMetadataResponse.encode({ ...server, extensions: [...serverExtensions] }).finish(),
    }),
  ];
}

function describingMethods({ catalog }: KserveDeps): RpcMethod[] {
  return [
    method("ModelMetadata", {
      scope: "infer",
      type: inference.ModelMetadataRequest,
      answer: (message) => {
        const model = catalog.find(message.name, versionOf(message));
        if (isFailure(model)) return model;
        return inference.ModelMetadataResponse.encode(
          modelMetadata(catalog, model) as MetadataFields,
        ).finish();
      },
    }),
    method("ModelConfig", {
      scope: "infer",
      type: inference.ModelConfigRequest,
      answer: (message) => {
        const model = catalog.find(message.name, versionOf(message));
        return isFailure(model) ? model : configMessage(catalog, model);
      },
    }),
    method("ModelStatistics", {
      scope: "status",
      type: inference.ModelStatisticsRequest,
      answer: (message) => {
        const name = message.name === "" ? undefined : message.name;
        const statistics = catalog.statistics(name, versionOf(message));
        const found =
          name === undefined || statistics.length > 0 ? undefined : catalog.find(name, versionOf(message));
        return found !== undefined && isFailure(found) ? found : statisticsMessage(statistics);
      },
    }),
  ];
}

/** The generated type wants mutable lists. */
type MetadataFields = inference.ModelMetadataResponse.$Properties;

function repositoryMethods({ catalog }: KserveDeps): RpcMethod[] {
  const change = async (
    action: "load" | "unload",
    message: inference.RepositoryModelLoadRequest | inference.RepositoryModelUnloadRequest,
  ): Promise<Uint8Array | Failure> => {
    const parameters = Object.keys(message.parameters ?? {});
    const problem = await changeModel(catalog, action, { name: message.modelName, parameters });
    return problem ?? new Uint8Array();
  };
  return [
    method("RepositoryIndex", {
      scope: "status",
      type: inference.RepositoryIndexRequest,
      answer: (message) => {
        const models = repositoryIndex(catalog, { readyOnly: message.ready });
        return inference.RepositoryIndexResponse.encode({ models }).finish();
      },
    }),
    method("RepositoryModelLoad", {
      scope: "admin",
      type: inference.RepositoryModelLoadRequest,
      answer: (message) => change("load", message),
    }),
    method("RepositoryModelUnload", {
      scope: "admin",
      type: inference.RepositoryModelUnloadRequest,
      answer: (message) => change("unload", message),
    }),
  ];
}

function inferMethods(deps: KserveDeps): RpcMethod[] {
  return [
    {
      path: `${service}ModelInfer`,
      scope: "infer",
      kind: "unary",
      handle: (call) => handleRpcInfer(deps, call, "none"),
    },
    {
      path: `${service}ModelStreamInfer`,
      scope: "infer",
      kind: "messages",
      writeFailure: (reason, call) => [encodeStreamError(reason, call)],
      handle: (call) => handleRpcInfer(deps, call, "stream"),
    },
  ];
}
