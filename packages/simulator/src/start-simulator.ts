/** The programmatic face of the simulator. */
import { scaleClock, systemClock } from "./clock.ts";
import type { Clock } from "./clock.ts";
import { ModelHost } from "./engine/model-host.ts";
import type { HostOptions } from "./engine/model-host.ts";
import type { EngineOptions } from "./engine/options.ts";
import type { Face, FaceName, World } from "./faces/face.ts";
import { Cloud } from "./cloud/cloud.ts";
import type { CloudInspection } from "./cloud/cloud.ts";
import { createCloudFace } from "./cloud/cloud-face.ts";
import type { CloudOptions } from "./cloud/cloud-options.ts";
import { createAnthropicFace } from "./faces/anthropic/anthropic-face.ts";
import { createOpenAiFace } from "./faces/openai/openai-face.ts";
import { createOllamaFace } from "./faces/ollama/ollama-face.ts";
import { ModelMetrics } from "./faces/vllm/model-metrics.ts";
import { createVllmFace } from "./faces/vllm/vllm-face.ts";
import { resolveModel } from "./model-spec.ts";
import type { ModelSpec } from "./model-spec.ts";
import { createRandom } from "./random.ts";
import { stateOf } from "./server/control.ts";
import type { SimulatorState } from "./server/control.ts";
import type { Fault, FaultPlan } from "./server/fault.ts";
import type { RequestLog } from "./server/request-log.ts";
import { SimulatorServer } from "./server/simulator-server.ts";
import type { AnswerWish } from "./text/answer.ts";
import type { Alphabet } from "./text/words.ts";

/** How a simulator is set up. Only the face is needed; `{...presets.vllmQwen7b, port: 8000}` is a whole server. */
export interface SimulatorOptions {
  readonly face: FaceName;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /**
   * Default: one model, `llama3.2:latest` for Ollama, `Qwen/Qwen2.5-7B-Instruct` for vLLM. For `groundlight` the names
   * of binary detectors, where `cloud` has none.
   */
  readonly models?: readonly (ModelSpec | string)[];
  /** Speed and size of every model's engine, over `quickEngine`. */
  readonly engine?: Partial<EngineOptions>;
  /**
   * How many models fit, how many requests wait, how long a model stays. Default for Ollama: 3, 512, 5 minutes, none
   * loaded at the start; for the others all models are loaded and stay.
   */
  readonly hosting?: Partial<HostOptions> & {
    /** Whether all models are in memory at the start. */
    readonly preload?: boolean;
  };
  readonly faults?: readonly Fault[];
  /** Seed of lengths, words, ids and fault probabilities. Default 1. */
  readonly seed?: number;
  /** Where time comes from. Default the machine's clock. */
  readonly clock?: Clock;
  /** Simulated milliseconds in a real one. Default 1. */
  readonly timeScale?: number;
  /** Words of the answers: `unicode` has two to eleven bytes in a character. Default `ascii`. */
  readonly alphabet?: Alphabet;
  /** What Ollama and vLLM say they are: older ones lack addresses that came later. Default the newest that is simulated. */
  readonly version?: string;
  /** Keys that callers must show. Default none. */
  readonly apiKeys?: readonly string[];
  /** Detectors, tokens, answers and pace of the face `groundlight`. */
  readonly cloud?: CloudOptions;
  /** Whether requests are recorded. Default true; turn it off for load. */
  readonly record?: boolean;
  /** What the model is to say to a request, undefined for its own words. The header `x-simulator-answer` comes first. */
  answer?(request: { readonly path: string; readonly body: unknown }): AnswerWish | undefined;
}

/** A running simulator. */
export interface Simulator {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly port: number;
  readonly requests: RequestLog;
  readonly faults: FaultPlan;
  /** What the face `groundlight` was sent, and what it can be told; undefined for the others. */
  readonly cloud: CloudInspection | undefined;
  /** What goes on now. */
  state(): SimulatorState;
  /** Stops to listen; open connections live on. */
  down(): void;
  /** Listens again on the same port. */
  up(): Promise<void>;
  /** Resets every connection. */
  dropConnections(): void;
  /** Ends everything. Idempotent. */
  close(): Promise<void>;
}

/** Starts a server that behaves like another. Rejects when the port is taken. */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const world = createWorld(options);
  const { host = "127.0.0.1", port = 0, faults = [], record = true } = options;
  const cloud = options.face === "groundlight" ? createCloud(options, world) : undefined;
  const face = createFace(options.face, world, cloud);
  const server = new SimulatorServer({ face, world, host, port, faults, record });
  await server.listener.listen();
  const { listener } = server;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${listener.port}`,
    port: listener.port,
    requests: server.requests,
    faults: server.faults,
    cloud,
    state: () => stateOf(server),
    down: () => listener.down(),
    up: () => listener.up(),
    dropConnections: () => listener.dropConnections(),
    close: () => server.close(),
  };
}

/** Names of the models a face has when it is told none. */
const DEFAULT_MODELS: Readonly<Record<FaceName, string | undefined>> = {
  ollama: "llama3.2:latest",
  vllm: "Qwen/Qwen2.5-7B-Instruct",
  openai: "gpt-4o-mini",
  anthropic: "claude-sonnet-4-5",
  groundlight: undefined,
};

function createWorld(options: SimulatorOptions): World {
  const { face, seed = 1, hosting = {}, engine = {} } = options;
  const clock = scaleClock(options.clock ?? systemClock, options.timeScale ?? 1);
  const standard = DEFAULT_MODELS[face];
  const specs = standard === undefined ? [] : (options.models ?? [standard]);
  const models = new Map(specs.map((spec) => resolveModel(spec, engine)).map((model) => [model.name, model]));
  const metrics = new Map([...models.keys()].map((name) => [name, new ModelMetrics()]));
  const ollama = face === "ollama";
  const host = new ModelHost(
    {
      maxLoaded: hosting.maxLoaded ?? (ollama ? 3 : Infinity),
      maxQueue: hosting.maxQueue ?? (ollama ? 512 : Infinity),
      keepAliveMs: hosting.keepAliveMs ?? (ollama ? 300_000 : Infinity),
    },
    clock,
    face === "vllm" ? ({ name }) => metrics.get(name) ?? new ModelMetrics() : undefined,
  );
  if (hosting.preload ?? !ollama) for (const model of models.values()) host.preload(model);
  return {
    clock,
    host,
    models,
    metrics,
    random: createRandom(seed),
    seed,
    alphabet: options.alphabet ?? "ascii",
    version: options.version,
    apiKeys: options.apiKeys ?? [],
    load: { active: 0 },
    answer: (request) => options.answer?.(request),
  };
}

function createCloud({ cloud = {}, models, apiKeys }: SimulatorOptions, world: World): Cloud {
  const detectors = cloud.detectors ?? models?.map((each) => (typeof each === "string" ? each : each.name));
  const tokens = cloud.tokens ?? apiKeys;
  return new Cloud({ ...cloud, ...(detectors && { detectors }), ...(tokens && { tokens }) }, world);
}

function createFace(name: FaceName, world: World, cloud: Cloud | undefined): Face {
  switch (name) {
    case "ollama":
      return createOllamaFace(world);
    case "vllm":
      return createVllmFace(world);
    case "openai":
      return createOpenAiFace(world);
    case "anthropic":
      return createAnthropicFace(world);
    case "groundlight":
      return createCloudFace(cloud ?? new Cloud({}, world), world);
  }
}
