/** Asks a model server what it serves, in KServe v2 with Triton's repository extension. */
import { grpcStatus, type GrpcChannel, type GrpcFailure } from "@spillway/grpc";
import { inference } from "@spillway/protocol";
import { isDatatype } from "@spillway/protocol/tensors";
import type { InputMapping, ServedModel, TaskSpec } from "../core/model.ts";
import type { TensorSpec } from "../core/tensor.ts";
import type { ModelAddress } from "./model-infer.ts";

const service = "/inference.GRPCInferenceService/";

/** How long a question about models may take. */
const questionTimeoutMs = 5_000;

/** Version given to a model whose server knows none. */
const onlyVersion = "1";

/**
 * How a listed model version stands.
 * - `ready`: it can be called.
 * - `coming`: the server is loading it, or says something that is not in the protocol.
 * - `gone`: the server does not mean to serve it: unloaded, failed, or never asked for.
 */
export type ListedState = "ready" | "coming" | "gone";

/** A model version in a server's index, or a named one where it has none. */
export interface ListedModel {
  readonly name: string;
  /** Empty where the server knows no versions. */
  readonly version: string;
  readonly state: ListedState;
  /** Why it is not ready, where the server says. */
  readonly reason: string;
}

/** A model version that a server knows, loaded or not. */
export interface DiscoveredModel {
  readonly name: string;
  readonly version: string;
  readonly state: ListedState;
  /** Set when the model can be called. */
  readonly model: ServedModel | undefined;
  /** Why it cannot. */
  readonly reason: string;
  /** How its server calls it. */
  readonly address: ModelAddress;
}

/** What is assumed of a server that does not say. */
export interface DiscoveryDefaults {
  /** Rows in one call. */
  readonly maxBatch: number;
  /** The models asked for; empty: all that the index lists. */
  readonly models: readonly string[];
}

/** An unanswered or refused question. */
export class DiscoveryError extends Error {
  readonly failure: GrpcFailure;

  constructor(path: string, failure: GrpcFailure) {
    super(`${path}: ${failure.message}`);
    this.name = "DiscoveryError";
    this.failure = failure;
  }
}

/** One call as a promise, for questions that are not on a request's path. */
export function ask(channel: GrpcChannel, path: string, message: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    channel.unary(
      { path, message: [message], timeoutMs: questionTimeoutMs },
      { done: resolve, failed: (failure) => reject(new DiscoveryError(path, failure)) },
    );
  });
}

/** Every model version of the server: its index, or the named models where it has none. Throws `DiscoveryError`. */
export async function discoverModels(
  channel: GrpcChannel,
  defaults: DiscoveryDefaults,
): Promise<DiscoveredModel[]> {
  const listed = await listModels(channel, defaults.models);
  return Promise.all(listed.map((entry) => describeModel(channel, entry, defaults)));
}

/**
 * The server's index, narrowed to the named models if there are any. Of a server without an index, or
 * one that keeps it from us, the named models by whether they are ready. Throws `DiscoveryError` when
 * the server does not answer, an Error when it has no index and no model is named.
 */
export async function listModels(channel: GrpcChannel, named: readonly string[]): Promise<ListedModel[]> {
  try {
    const request = inference.RepositoryIndexRequest.encode({}).finish();
    const bytes = await ask(channel, `${service}RepositoryIndex`, request);
    const wanted = new Set(named);
    return inference.RepositoryIndexResponse.decode(bytes)
      .models.map(toListed)
      .filter((entry) => wanted.size === 0 || wanted.has(entry.name));
  } catch (error) {
    if (!isRefusal(error, channel)) throw error;
    if (named.length > 0) return Promise.all(named.map((name) => listNamed(channel, name)));
    if (error.failure.code !== grpcStatus.unimplemented) throw error;
    throw new Error("it has no repository index, and no models are named for it", { cause: error });
  }
}

/** True where the server lives and does not want to answer this question. */
function isRefusal(error: unknown, channel: GrpcChannel): error is DiscoveryError {
  if (!(error instanceof DiscoveryError)) return false;
  return channel.state === "ready" && error.failure.code !== grpcStatus.deadlineExceeded;
}

function toListed(entry: inference.RepositoryIndexResponse.IModelIndex): ListedModel {
  return {
    name: entry.name ?? "",
    version: entry.version ?? "",
    state: readState(entry.state ?? ""),
    reason: entry.reason ?? "",
  };
}

/** Triton's words; MLServer under Python 3.11 and later writes `State.READY`. */
function readState(text: string): ListedState {
  switch (text.replace(/^State\./, "")) {
    case "READY":
      return "ready";
    case "UNAVAILABLE":
    case "UNLOADING":
    case "":
      return "gone";
    default:
      return "coming";
  }
}

async function listNamed(channel: GrpcChannel, name: string): Promise<ListedModel> {
  const request = inference.ModelReadyRequest.encode({ name, version: "" }).finish();
  try {
    const bytes = await ask(channel, `${service}ModelReady`, request);
    const ready = inference.ModelReadyResponse.decode(bytes).ready === true;
    return ready
      ? { name, version: "", state: "ready", reason: "" }
      : { name, version: "", state: "coming", reason: "the server says that it is not ready" };
  } catch (error) {
    if (!isRefusal(error, channel)) throw error;
    return { name, version: "", state: "gone", reason: error.failure.message };
  }
}

/**
 * What a listed model takes and answers. One that cannot be described, or not understood, is given
 * back with the reason. Throws `DiscoveryError` when the server does not answer.
 */
export async function describeModel(
  channel: GrpcChannel,
  listed: ListedModel,
  defaults: Pick<DiscoveryDefaults, "maxBatch">,
): Promise<DiscoveredModel> {
  const { name, version, state, reason } = listed;
  const address = { name, version };
  if (state !== "ready") return { name, version, state, model: undefined, reason, address };
  try {
    const request = inference.ModelMetadataRequest.encode(address).finish();
    const metadata = inference.ModelMetadataResponse.decode(
      await ask(channel, `${service}ModelMetadata`, request),
    );
    const maxBatch = await maxBatchOf(channel, { address, metadata, otherwise: defaults.maxBatch });
    const model = toServedModel(metadata, { name, version, maxBatch });
    const outputs = isOurs(metadata) ? undefined : namesOf(model.outputs);
    const called = outputs === undefined ? address : { ...address, outputs };
    return { name, version: model.version, state, model, reason: "", address: called };
  } catch (error) {
    if (error instanceof DiscoveryError && !isRefusal(error, channel)) throw error;
    const text = error instanceof Error ? error.message : String(error);
    return { name, version, state: "gone", model: undefined, reason: text, address };
  }
}

function namesOf(specs: readonly TensorSpec[]): readonly string[] | undefined {
  return specs.length === 0 ? undefined : specs.map((spec) => spec.name);
}

/** Our worker says in the metadata what others leave open. */
function isOurs(metadata: inference.ModelMetadataResponse): boolean {
  return metadata.parameters["max_batch"] !== undefined;
}

/**
 * Rows in one call: of our worker by its metadata, of Triton by `max_batch_size` in its model
 * configuration (0: the first dimension does not count rows), else what the pool says.
 */
async function maxBatchOf(
  channel: GrpcChannel,
  asked: {
    readonly address: ModelAddress;
    readonly metadata: inference.ModelMetadataResponse;
    readonly otherwise: number;
  },
): Promise<number> {
  const said = asked.metadata.parameters["max_batch"]?.int64Param;
  if (said !== undefined && said !== null) return said;
  const { name, version } = asked.address;
  const request = inference.ModelConfigRequest.encode({ name, version }).finish();
  try {
    const bytes = await ask(channel, `${service}ModelConfig`, request);
    const { config } = inference.ModelConfigResponse.decode(bytes);
    return config === undefined || config === null ? asked.otherwise : (config.maxBatchSize ?? 0);
  } catch (error) {
    if (!isRefusal(error, channel)) throw error;
    return asked.otherwise;
  }
}

/** Metadata as the gateway sees it. Parameters that only our worker sends are optional. Throws an Error for a datatype that v2 does not have. */
function toServedModel(
  metadata: inference.ModelMetadataResponse,
  /** `maxBatch` 0: rows may not share a call, whatever the shapes look like. */
  wanted: { readonly name: string; readonly version: string; readonly maxBatch: number },
): ServedModel {
  const inputs = metadata.inputs.map(toSpec);
  const outputs = metadata.outputs.map(toSpec);
  const parameters = metadata.parameters;
  const said = parameters["task"]?.stringParam;
  const task = typeof said === "string" ? readTask(said) : {};
  const guessed = wanted.maxBatch > 0 && leadsWithRows([...inputs, ...outputs]);
  const batchable = parameters["batchable"]?.boolParam ?? guessed;
  return {
    name: wanted.name,
    version: wanted.version !== "" ? wanted.version : (metadata.versions.at(-1) ?? onlyVersion),
    platform: metadata.platform ?? "",
    inputs,
    outputs,
    task: task.task,
    mapping: task.mapping ?? guessMapping(inputs),
    batchable,
    maxBatch: batchable ? Math.max(1, wanted.maxBatch) : 1,
    mock: parameters["engine"]?.stringParam === "mock",
  };
}

function toSpec(tensor: inference.ModelMetadataResponse.ITensorMetadata): TensorSpec {
  const datatype = tensor.datatype ?? "";
  if (!isDatatype(datatype)) throw new Error(`tensor ${tensor.name} has the unknown datatype "${datatype}"`);
  return { name: tensor.name ?? "", datatype, shape: tensor.shape ?? [] };
}

/** Without a word from the server, tensors that all begin with a dimension of any size are taken to count rows. */
function leadsWithRows(specs: readonly TensorSpec[]): boolean {
  return specs.length > 0 && specs.every((spec) => spec.shape[0] === -1);
}

/** The `task` parameter of our worker: what the outputs mean and where features, prompts and pictures go. */
function readTask(text: string): { task?: TaskSpec; mapping?: InputMapping } {
  const said = JSON.parse(text) as Partial<TaskSpec> & {
    task?: TaskSpec["kind"] | null;
    input?: Partial<InputMapping>;
  };
  const { features, prompt, image } = said.input ?? {};
  const mapping = { features, prompt, image };
  if (said.task === undefined || said.task === null) return { mapping };
  const { labels = [], outputs = {}, thresholds = {} } = said;
  return { mapping, task: { kind: said.task, labels, outputs, thresholds } };
}

/** The only numeric input takes features, the only BYTES input a prompt. */
function guessMapping(inputs: readonly TensorSpec[]): InputMapping {
  const texts = inputs.filter((input) => input.datatype === "BYTES");
  const numbers = inputs.filter((input) => input.datatype !== "BYTES");
  return {
    features: numbers.length === 1 ? numbers[0]?.name : undefined,
    prompt: texts.length === 1 ? texts[0]?.name : undefined,
    image: undefined,
  };
}
