/** A model version ready to answer: checks, picture decoding, one inference at a time, statistics. */
import { decodeBytesElements } from "@spillway/protocol/tensors";
import type { Calibration } from "../calibrate.ts";
import type { WorkerClock } from "../clock.ts";
import type { Engine } from "../engines/engine.ts";
import type { ImageDecoder } from "../preprocess/image.ts";
import { ImageError, imageInputName } from "../preprocess/image.ts";
import type { Refusal } from "../refusal.ts";
import { errorText, isRefusal, refuse } from "../refusal.ts";
import type { ModelConfig } from "../repository/model-config.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";
import { checkInputs, checkOutputs } from "./check-inputs.ts";
import { ModelStatistics } from "./model-statistics.ts";
import { SerialQueue } from "./serial-queue.ts";
import type { TaskInfo } from "./task.ts";

/** One inference to answer. */
export interface InferRequest {
  readonly inputs: readonly Tensor[];
  /** In the order wanted; undefined or empty: all outputs. */
  readonly outputs: readonly string[] | undefined;
  /** Asked when its turn comes: true drops the request unrun and unanswered. */
  isCancelled(): boolean;
}

/** An answered inference. */
export interface InferResult {
  readonly outputs: readonly Tensor[];
  readonly computeNs: number;
  /** Time until the pictures were decoded, as far as it held up the inference; 0 without pictures. */
  readonly preprocessNs: number;
}

/** What a loaded version is made of. */
export interface LoadedModelParts {
  readonly name: string;
  readonly version: string;
  readonly config: ModelConfig;
  readonly engine: Engine;
  readonly task: TaskInfo;
  readonly decoder: ImageDecoder | undefined;
  readonly calibration: Calibration;
  /** True when rows of one call get the answers they would get alone. */
  readonly batchable: boolean;
  readonly clock: WorkerClock;
  readonly wallNow: () => number;
}

/** Requests of one model that wait in the worker; beyond it they are refused. The gateway sends two at a time. */
const maxWaiting = 1_024;

/** A version that answers. Errors of a request never leave it unusable. */
export class LoadedModel {
  readonly name: string;
  readonly version: string;
  readonly config: ModelConfig;
  readonly engine: Engine;
  readonly task: TaskInfo;
  readonly calibration: Calibration;
  readonly batchable: boolean;
  readonly statistics = new ModelStatistics();
  readonly #decoder: ImageDecoder | undefined;
  readonly #pictureSpecs: readonly TensorSpec[];
  readonly #clock: WorkerClock;
  readonly #wallNow: () => number;
  readonly #queue: SerialQueue;
  /** When the engine ended its last run. */
  #engineFreeMs = 0;
  #closed = false;

  constructor(parts: LoadedModelParts) {
    this.name = parts.name;
    this.version = parts.version;
    this.config = parts.config;
    this.engine = parts.engine;
    this.task = parts.task;
    this.calibration = parts.calibration;
    this.batchable = parts.batchable;
    this.#decoder = parts.decoder;
    this.#clock = parts.clock;
    this.#wallNow = parts.wallNow;
    this.#queue = new SerialQueue(maxWaiting, parts.engine.depth);
    this.#pictureSpecs = parts.engine.inputs.map((spec) =>
      spec.name === parts.config.input.image?.tensor
        ? { name: imageInputName, datatype: "BYTES", shape: [spec.shape[0] ?? -1] }
        : spec,
    );
  }

  /** Rows a caller should send in one call at most; a larger call is answered all the same. */
  get maxBatch(): number {
    return this.calibration.maxBatch;
  }

  /**
   * Answers a request through `done`, once, in the order the requests came (where the engine is asked for several at
   * once, pictures may be overtaken while they are decoded); not at all when it is cancelled before its turn. Pictures
   * are decoded while earlier requests still run.
   */
  infer(request: InferRequest, done: (result: InferResult | Refusal) => void): void {
    const startMs = this.#clock.now();
    const finish = (result: InferResult | Refusal) => {
      if (isRefusal(result)) this.statistics.failed(this.#clock.now() - startMs);
      done(result);
    };
    const problem = this.#check(request);
    if (problem !== undefined) return finish(problem);
    // Before any picture is decoded: a refused request costs nothing.
    if (this.#queue.full)
      return finish(refuse("unavailable", `model "${this.name}": Exceeds maximum queue size`));
    const prepared = this.#prepare(request.inputs);
    const job = {
      isCancelled: () => request.isCancelled(),
      run: async () => finish(await this.#run(prepared, request, startMs)),
    };
    this.#queue.push(job);
  }

  /** Waits for what runs and waits, then frees the model. Requests from now on are refused. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue.idle();
    await this.engine.close();
  }

  #check(request: InferRequest): Refusal | undefined {
    if (this.#closed)
      return refuse("unavailable", `model "${this.name}" version ${this.version} is unloaded`);
    const specs = this.#takesPictures(request.inputs) ? this.#pictureSpecs : this.engine.inputs;
    const problem =
      checkInputs(request.inputs, specs) ??
      (request.outputs === undefined ? undefined : checkOutputs(request.outputs, this.engine.outputs)) ??
      (this.batchable ? checkSameRows(request.inputs) : undefined);
    return problem === undefined ? undefined : refuse("invalid", `model "${this.name}": ${problem}`);
  }

  #takesPictures(inputs: readonly Tensor[]): boolean {
    return this.#decoder !== undefined && inputs.some(isPictures);
  }

  /** Starts decoding pictures at once; other inputs pass through. Never rejects. */
  #prepare(inputs: readonly Tensor[]): Prepared {
    const pictures = inputs.find(isPictures);
    if (this.#decoder === undefined || pictures === undefined) return inputs;
    const decoded = this.#decoder(decodeBytesElements(pictures.data) ?? []);
    return decoded.then(
      (tensor) => inputs.map((input) => (input === pictures ? tensor : input)),
      (error: unknown) => pictureRefusal(this.name, error),
    );
  }

  /** Runs when the turn has come. Never rejects. */
  async #run(prepared: Prepared, request: InferRequest, startMs: number): Promise<InferResult | Refusal> {
    const turnMs = this.#clock.now();
    const inputs = prepared instanceof Promise ? await prepared : prepared;
    const computeStartMs = prepared instanceof Promise ? this.#clock.now() : turnMs;
    if (isRefusal(inputs)) return inputs;
    const names = request.outputs?.length === 0 ? undefined : request.outputs;
    try {
      const outputs = await this.engine.infer(inputs, names);
      const endMs = this.#clock.now();
      // A run that was asked for while another was under way has waited for its end in the engine.
      const runStartMs = Math.max(computeStartMs, this.#engineFreeMs);
      this.#engineFreeMs = endMs;
      const preprocessMs = computeStartMs - turnMs;
      const times = {
        queueMs: runStartMs - startMs - preprocessMs,
        preprocessMs,
        computeMs: endMs - runStartMs,
      };
      this.statistics.succeeded(this.batchable ? (inputs[0]?.shape[0] ?? 1) : 1, times, this.#wallNow());
      return { outputs, computeNs: toNs(times.computeMs), preprocessNs: toNs(times.preprocessMs) };
    } catch (error) {
      this.#engineFreeMs = this.#clock.now();
      return refuse("internal", `model "${this.name}" failed: ${errorText(error)}`);
    }
  }
}

/** Tensors for the engine: at once, or when the pictures are decoded. */
type Prepared = readonly Tensor[] | Promise<readonly Tensor[] | Refusal>;

function isPictures(tensor: Tensor): boolean {
  return tensor.name === imageInputName && tensor.datatype === "BYTES";
}

function toNs(ms: number): number {
  return Math.round(ms * 1e6);
}

function pictureRefusal(model: string, error: unknown): Refusal {
  if (!(error instanceof ImageError))
    return refuse("internal", `model "${model}" failed: ${errorText(error)}`);
  return {
    ...refuse("invalid", `model "${model}": input "${imageInputName}": ${error.message}`),
    badRows: error.rows,
  };
}

/** Rows of different inputs belong together, so their number must be the same. */
function checkSameRows(inputs: readonly Tensor[]): string | undefined {
  const [first] = inputs;
  for (const input of inputs) {
    const rows = input.shape[0] ?? 0;
    if (rows < 1) return `input "${input.name}": expected at least one row, got [${input.shape.join(",")}]`;
    if (rows !== first?.shape[0])
      return `input "${input.name}": expected ${first?.shape[0]} rows as in "${first?.name}", got ${rows}`;
  }
  return undefined;
}
