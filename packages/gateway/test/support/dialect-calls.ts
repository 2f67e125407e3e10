/** Calls, models and answers for tests of dialects: what a door hands over and what a pipeline gives back. */
import assert from "node:assert/strict";
import type { ModelCatalog, ModelStatistics, ModelStatus } from "../../src/contracts/models.ts";
import type { HttpCall, Route, RpcCall, RpcMethod } from "../../src/contracts/route.ts";
import { Cancellation } from "../../src/core/cancellation.ts";
import { failure, isFailure, type Failure } from "../../src/core/errors.ts";
import type { ServedModel } from "../../src/core/model.ts";
import type { BoundTensors, InferenceRequest, WireAnswer } from "../../src/core/request.ts";
import type { Tensor } from "../../src/core/tensor.ts";

/** A model of one FP32 input `x` [-1,4] and one output `y` [-1,3], changed as told. */
export function testModel(changes: Partial<ServedModel> = {}): ServedModel {
  return {
    name: "iris",
    version: "1",
    platform: "onnx",
    inputs: [{ name: "x", datatype: "FP32", shape: [-1, 4] }],
    outputs: [{ name: "y", datatype: "FP32", shape: [-1, 3] }],
    task: undefined,
    mapping: { features: "x", prompt: undefined, image: undefined },
    batchable: true,
    maxBatch: 8,
    mock: false,
    ...changes,
  };
}

/** The task of a classifier whose scores are output `y`. */
export const irisTask = {
  kind: "classify",
  labels: ["setosa", "versicolor", "virginica"],
  outputs: { scores: "y" },
  thresholds: {},
} as const;

/** A 32-bit float tensor. */
export function floats(name: string, shape: readonly number[], values: readonly number[]): Tensor {
  return { name, datatype: "FP32", shape, data: new Uint8Array(Float32Array.from(values).buffer) };
}

/** An HTTP call as the door makes it. A body that is no bytes is sent as JSON. */
export function httpCall(body: unknown, changes: Partial<Omit<HttpCall, "body">> = {}): HttpCall {
  return {
    method: "POST",
    path: "/",
    query: "",
    headers: {},
    params: { model: "iris" },
    body:
      body instanceof Uint8Array ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body)),
    caller: { id: "local", scopes: ["infer", "status", "admin"] },
    requestId: "request-1",
    receivedAt: 1000,
    cancellation: new Cancellation(),
    ...changes,
  };
}

/** A gRPC call as the door makes it. */
export function rpcCall(message: Uint8Array, changes: Partial<RpcCall> = {}): RpcCall {
  return {
    path: "/",
    metadata: {},
    message,
    caller: { id: "local", scopes: ["infer", "status", "admin"] },
    requestId: "request-1",
    receivedAt: 1000,
    timeoutMs: undefined,
    cancellation: new Cancellation(),
    ...changes,
  };
}

/** The route with that method and path. */
export function routeAt(routes: readonly Route[], method: Route["method"], path: string): Route {
  const route = routes.find((candidate) => candidate.method === method && candidate.path === path);
  assert.ok(route, `${method} ${path}`);
  return route;
}

/** The method with that name. */
export function methodNamed(methods: readonly RpcMethod[], name: string): RpcMethod {
  const method = methods.find((candidate) => candidate.path.endsWith(`/${name}`));
  assert.ok(method, name);
  return method;
}

/** What a model answers to bound inputs. */
export type Answerer = (bound: BoundTensors, model: ServedModel) => readonly Tensor[];

/** What became of a call. */
export interface Served {
  readonly request: InferenceRequest | undefined;
  readonly bound: BoundTensors | undefined;
  readonly answer: WireAnswer | undefined;
  readonly failure: Failure | undefined;
}

/** Does to a handler's result what door and pipeline do: binds, answers, writes. */
export async function serve(
  result: ReturnType<Route["handle"]>,
  model: ServedModel,
  answerer: Answerer = (bound) => bound.inputs.map((input) => ({ ...input, name: "y" })),
): Promise<Served> {
  const nothing = { request: undefined, bound: undefined, answer: undefined, failure: undefined };
  const handled = await result;
  if (isFailure(handled)) return { ...nothing, failure: handled };
  assert.ok(!("carry" in handled));
  if ("status" in handled) return { ...nothing, answer: handled };
  const { payload } = handled;
  assert.ok(payload.kind === "tensors");
  const bound = payload.bind(model);
  if (isFailure(bound)) return { ...nothing, request: handled, failure: bound };
  const timing = { queueMs: 0.25, computeMs: 1.5, batchRows: 3, instance: "iris-0" };
  const written = await payload.write({ model, outputs: answerer(bound, model), timing });
  if (isFailure(written)) return { request: handled, bound, answer: undefined, failure: written };
  return { request: handled, bound, answer: written, failure: undefined };
}

/** Body of an answer in one piece. */
export function bodyOf(answer: WireAnswer | undefined): Buffer {
  assert.ok(answer);
  return Buffer.concat(answer.body);
}

/** JSON body of an answer. */
export function jsonOf(answer: WireAnswer | undefined): unknown {
  return JSON.parse(bodyOf(answer).toString("utf8"));
}

/** Value of an answer's header. */
export function headerOf(answer: WireAnswer | undefined, name: string): string | undefined {
  return answer?.headers.find(([key]) => key === name)?.[1];
}

/** What a test catalog can be told. */
export interface CatalogState {
  readonly models: readonly ServedModel[];
  readonly statuses?: readonly ModelStatus[];
  readonly statistics?: readonly ModelStatistics[];
  readonly ready?: boolean;
  /** By model name: what load and unload answer. */
  readonly changes?: Readonly<Record<string, Failure>>;
}

/** A catalog that knows the given models, and what load and unload were asked. */
export function testCatalog(state: CatalogState): ModelCatalog & { readonly asked: string[] } {
  const asked: string[] = [];
  const change = (action: string) => (name: string) => {
    asked.push(`${action} ${name}`);
    return Promise.resolve(state.changes?.[name]);
  };
  const named = (name: string): readonly ServedModel[] => state.models.filter((model) => model.name === name);
  const statuses = state.statuses ?? state.models.map(readyStatus);
  return {
    asked,
    find(name, version) {
      const versions = named(name);
      if (versions.length === 0) return failure("model_not_found", `No model "${name}"`);
      const found = versions.find((model) => version === undefined || model.version === version);
      return found ?? failure("version_not_found", `No version "${version}" of "${name}"`);
    },
    versions: (name) => named(name).map((model) => model.version),
    isReady: (name, version) =>
      statuses.some(
        (entry) =>
          entry.name === name && (version ?? entry.version) === entry.version && entry.state === "READY",
      ),
    list: () => statuses,
    statistics: (name, version) =>
      (state.statistics ?? []).filter(
        (entry) => (name ?? entry.name) === entry.name && (version ?? entry.version) === entry.version,
      ),
    ready: () => state.ready ?? true,
    load: change("load"),
    unload: change("unload"),
  };
}

function readyStatus({ name, version }: ServedModel): ModelStatus {
  return { pool: "models", name, version, state: "READY", reason: "", instances: { wanted: 2, ready: 2 } };
}
