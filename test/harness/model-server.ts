/**
 * Model servers for tests of pools, by grpc-js: an HTTP/2 and gRPC implementation that is not ours.
 * Run as a program with `ModelServerOptions` as JSON, it prints its port and serves until it is killed.
 */
import { Server, ServerCredentials, status, type handleUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { inference } from "@spillway/protocol";

/** A model that doubles its numbers: `x` FP32 in, `y` FP32 out. */
export interface TestModel {
  readonly name: string;
  /** Default `1`; empty: the server knows no versions. */
  readonly version?: string;
  /** Default `READY`. */
  readonly state?: string;
  /** Default `[-1, 2]`, of `x` and `y`. */
  readonly shape?: readonly number[];
}

/** How a server behaves. */
export interface ModelServerOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any that is free. */
  readonly port?: number;
  /** Default one model `double`. */
  readonly models?: readonly TestModel[];
  /** Time that a call takes, ms. Default 0. */
  readonly latencyMs?: number;
  /** `none`: RepositoryIndex is not implemented. Default `all`. */
  readonly index?: "all" | "none";
  /** `max_batch_size` in an answer to ModelConfig. Default: the call is not implemented. */
  readonly configuredMaxBatch?: number;
  /** PEM texts; without them plain text. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** A running server; what can be changed is read at each call. */
export interface ModelServer {
  readonly host: string;
  readonly port: number;
  /** `host:port`. */
  readonly address: string;
  models: readonly TestModel[];
  ready: boolean;
  latencyMs: number;
  /** Refuses every inference with this status. */
  refuseWith: { readonly code: status; readonly details: string } | undefined;
  /** Rows of each inference, in the order of their arrival. */
  readonly rows: number[];
  /** Inferences under way, and the most that ever were. */
  running: number;
  mostRunning: number;
  /** Names of the outputs that the last inference asked for. */
  lastOutputs: readonly string[];
  /** Says goodbye, answers what runs, and is gone. */
  drain(): Promise<void>;
  /** Cuts every connection. Idempotent. */
  stop(): void;
}

/** A message, or a refusal. */
export type Answer = Uint8Array | { readonly code: status; readonly details: string };
/** What a method does with a message. */
export type Answerer = (message: Uint8Array) => Answer | Promise<Answer>;

/** Serves methods by path; a path that is not there is answered UNIMPLEMENTED. */
export async function serveMethods(
  methods: Readonly<Record<string, Answerer>>,
  options: Pick<ModelServerOptions, "host" | "port" | "tls">,
): Promise<{ readonly port: number; readonly server: Server }> {
  const server = new Server();
  const paths = Object.keys(methods);
  const definition = Object.fromEntries(paths.map((path) => [path, methodDefinition(path)]));
  const handlers: Record<string, handleUnaryCall<Buffer, Uint8Array>> = {};
  for (const [path, answer] of Object.entries(methods)) {
    handlers[path] = (call, done) => void reply(answer, call.request, done);
  }
  server.addService(definition, handlers);
  const { host = "127.0.0.1", port = 0, tls } = options;
  const pair = tls && { cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) };
  const credentials = pair ? ServerCredentials.createSsl(null, [pair]) : ServerCredentials.createInsecure();
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, credentials, (error, bound) =>
      error === null ? resolve({ port: bound, server }) : reject(error),
    );
  });
}

async function reply(answer: Answerer, message: Uint8Array, done: sendUnaryData<Uint8Array>): Promise<void> {
  const result = await answer(message);
  if (result instanceof Uint8Array) done(null, result);
  else done(result);
}

function methodDefinition(path: string) {
  const asIs = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  } as const;
}

/** Starts a KServe v2 server. */
export async function startModelServer(options: ModelServerOptions = {}): Promise<ModelServer> {
  const state = {
    models: options.models ?? [{ name: "double" }],
    ready: true,
    latencyMs: options.latencyMs ?? 0,
    refuseWith: undefined,
    rows: [] as number[],
    running: 0,
    mostRunning: 0,
    lastOutputs: [] as readonly string[],
  };
  const { port, server } = await serveMethods(kserveMethods(state, options), options);
  const host = options.host ?? "127.0.0.1";
  return Object.assign(state, {
    host,
    port,
    address: `${host}:${port}`,
    drain: () => new Promise<void>((resolve) => server.tryShutdown(() => resolve())),
    stop: () => server.forceShutdown(),
  });
}

type State = Omit<ModelServer, "host" | "port" | "address" | "drain" | "stop">;

function kserveMethods(state: State, options: ModelServerOptions): Record<string, Answerer> {
  const service = "/inference.GRPCInferenceService/";
  const methods: Record<string, Answerer> = {
    [`${service}ServerReady`]: () => inference.ServerReadyResponse.encode({ ready: state.ready }).finish(),
    [`${service}ModelReady`]: (message) => modelReady(state, message),
    [`${service}ModelMetadata`]: (message) => metadata(state, message),
    [`${service}ModelInfer`]: (message) => infer(state, message),
  };
  const { index = "all", configuredMaxBatch: maxBatchSize } = options;
  if (index === "all") methods[`${service}RepositoryIndex`] = () => repositoryIndex(state);
  if (maxBatchSize !== undefined)
    methods[`${service}ModelConfig`] = () =>
      inference.ModelConfigResponse.encode({ config: { maxBatchSize } }).finish();
  return methods;
}

function repositoryIndex({ models }: State): Uint8Array {
  const entries = models.map(({ name, version = "1", state = "READY" }) => ({ name, version, state }));
  return inference.RepositoryIndexResponse.encode({ models: entries }).finish();
}

function find({ models }: State, name: string, version: string): TestModel | undefined {
  return models.find(
    (model) => model.name === name && (version === "" || (model.version ?? "1") === version),
  );
}

function unknown(name: string, version: string): Answer {
  return { code: status.NOT_FOUND, details: `no model ${name} version ${version}` };
}

function modelReady(state: State, message: Uint8Array): Answer {
  const { name, version } = inference.ModelReadyRequest.decode(message);
  const model = find(state, name, version);
  if (model === undefined) return unknown(name, version);
  return inference.ModelReadyResponse.encode({ ready: (model.state ?? "READY") === "READY" }).finish();
}

function metadata(state: State, message: Uint8Array): Answer {
  const { name, version } = inference.ModelMetadataRequest.decode(message);
  const model = find(state, name, version);
  if (model === undefined) return unknown(name, version);
  const shape = [...(model.shape ?? [-1, 2])];
  return inference.ModelMetadataResponse.encode({
    name,
    versions: model.version === "" ? [] : [model.version ?? "1"],
    platform: "test",
    inputs: [{ name: "x", datatype: "FP32", shape }],
    outputs: [{ name: "y", datatype: "FP32", shape }],
  }).finish();
}

async function infer(state: State, message: Uint8Array): Promise<Answer> {
  const request = inference.ModelInferRequest.decode(message);
  const model = find(state, request.modelName, request.modelVersion);
  if (model === undefined) return unknown(request.modelName, request.modelVersion);
  const shape = request.inputs[0]?.shape ?? [];
  state.rows.push(shape[0] ?? 0);
  state.lastOutputs = request.outputs.map((output) => output.name ?? "");
  state.mostRunning = Math.max(state.mostRunning, ++state.running);
  if (state.latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, state.latencyMs));
  state.running--;
  if (state.refuseWith !== undefined) return state.refuseWith;
  const bytes = Buffer.from(request.rawInputContents[0] ?? []);
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  return inference.ModelInferResponse.encode({
    modelName: model.name,
    outputs: [{ name: "y", datatype: "FP32", shape }],
    rawOutputContents: [Buffer.from(values.map((value) => value * 2).buffer)],
  }).finish();
}

if (import.meta.main) {
  const server = await startModelServer(JSON.parse(process.argv[2] ?? "{}") as ModelServerOptions);
  process.stdout.write(`${server.port}\n`);
}
