/** Asks a model server what it serves, in KServe v2 with Triton's repository extension. */
import { grpcStatus, type GrpcChannel, type GrpcFailure } from "@spillway/grpc";
import { inference } from "@spillway/protocol";
import type { InputMapping, ServedModel, TaskSpec } from "../core/model.ts";
import { isDatatype, type TensorSpec } from "../core/tensor.ts";

const service = "/inference.GRPCInferenceService/";

/** How long a question about models may take. */
const questionTimeoutMs = 5_000;

/** A model version that a server knows, loaded or not. */
export interface DiscoveredModel {
  readonly name: string;
  readonly version: string;
  /** Set when the model can be called. */
  readonly model: ServedModel | undefined;
  /** Why it cannot. */
  readonly reason: string;
}

/** What is assumed of a server that does not say. */
export interface DiscoveryDefaults {
  /** Rows in one call. */
  readonly maxBatch: number;
  /** Asked for when the server has no index. */
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
  return Promise.all(
    listed.map(async ({ name, version, ready, reason }): Promise<DiscoveredModel> => {
      if (!ready) return { name, version, model: undefined, reason };
      const model = await describeModel(channel, { name, version, maxBatch: defaults.maxBatch });
      return { name, version: model.version, model, reason: "" };
    }),
  );
}

interface ListedModel {
  readonly name: string;
  readonly version: string;
  readonly ready: boolean;
  readonly reason: string;
}

async function listModels(channel: GrpcChannel, named: readonly string[]): Promise<ListedModel[]> {
  const wanted = new Set(named);
  try {
    const request = inference.RepositoryIndexRequest.encode({}).finish();
    const bytes = await ask(channel, `${service}RepositoryIndex`, request);
    return inference.RepositoryIndexResponse.decode(bytes)
      .models.map((entry) => ({
        name: entry.name ?? "",
        version: entry.version ?? "",
        ready: entry.state === "READY",
        reason: entry.reason ?? "",
      }))
      .filter((entry) => wanted.size === 0 || wanted.has(entry.name));
  } catch (error) {
    if (!(error instanceof DiscoveryError) || error.failure.code !== grpcStatus.unimplemented) throw error;
    return named.map((name) => ({ name, version: "", ready: true, reason: "" }));
  }
}

async function describeModel(
  channel: GrpcChannel,
  wanted: { name: string; version: string; maxBatch: number },
): Promise<ServedModel> {
  const request = inference.ModelMetadataRequest.encode({
    name: wanted.name,
    version: wanted.version,
  }).finish();
  const bytes = await ask(channel, `${service}ModelMetadata`, request);
  return toServedModel(inference.ModelMetadataResponse.decode(bytes), wanted);
}

/** Metadata as the gateway sees it. Parameters that only our worker sends are optional. */
export function toServedModel(
  metadata: inference.ModelMetadataResponse,
  wanted: { readonly version: string; readonly maxBatch: number },
): ServedModel {
  const inputs = metadata.inputs.map(toSpec);
  const outputs = metadata.outputs.map(toSpec);
  const parameters = metadata.parameters;
  const said = parameters["task"]?.stringParam;
  const task = typeof said === "string" ? readTask(said) : {};
  const batchable = parameters["batchable"]?.boolParam ?? leadsWithRows([...inputs, ...outputs]);
  const maxBatch = parameters["max_batch"]?.int64Param ?? wanted.maxBatch;
  return {
    name: metadata.name ?? "",
    version: wanted.version !== "" ? wanted.version : (metadata.versions.at(-1) ?? "1"),
    platform: metadata.platform ?? "",
    inputs,
    outputs,
    task: task.task,
    mapping: task.mapping ?? guessMapping(inputs),
    batchable,
    maxBatch: batchable ? Math.max(1, maxBatch) : 1,
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
