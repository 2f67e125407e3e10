/** A model that only pretends: waits, computes, fails, crashes and leaks as told. For trying the architecture. */
import { countBytesElements, decodeBytesElements } from "@spillway/protocol/tensors";
import type { WorkerClock } from "../clock.ts";
import { systemClock } from "../clock.ts";
import { createSeededRandom } from "../random.ts";
import type { MockConfig, ModelConfig } from "../repository/model-config.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";
import { floatTensor, floatValues } from "../tensor.ts";
import type { Engine } from "./engine.ts";

/** What a test puts in place of the machine. */
export interface MockEnvironment {
  readonly clock: WorkerClock;
  /** Ends the process at once. */
  readonly crash: () => void;
}

const machine: MockEnvironment = {
  clock: systemClock,
  // SIGKILL: no handler, no clean-up, as a fault in native code would end it.
  crash: () => process.kill(process.pid, "SIGKILL"),
};

/** Kept for ever by `growMb`; beyond this many pieces the leak stops. */
const maxLeakedPieces = 65_536;

/**
 * The mock engine. Input `features` FP32 [-1,width], or `prompt` BYTES [-1] when only `input.prompt`
 * is set; output `scores` FP32 [-1,classes]. With `identity`: input `input`, output `output`, both FP32
 * [-1,width], the same bytes.
 */
export function createMockEngine(
  config: MockConfig,
  input: ModelConfig["input"] = {},
  environment: MockEnvironment = machine,
): Engine {
  const spec = inputSpec(config, input);
  const output: TensorSpec = config.identity
    ? { name: "output", datatype: "FP32", shape: spec.shape }
    : { name: "scores", datatype: "FP32", shape: [-1, config.classes] };
  return new MockEngine(config, { input: spec, output }, environment);
}

function inputSpec(config: MockConfig, input: ModelConfig["input"]): TensorSpec {
  if (!config.identity && input.prompt !== undefined && input.features === undefined)
    return { name: input.prompt, datatype: "BYTES", shape: [-1] };
  const name = input.features ?? (config.identity ? "input" : "features");
  return { name, datatype: "FP32", shape: [-1, config.width] };
}

class MockEngine implements Engine {
  readonly kind = "mock";
  readonly platform = "spillway_mock";
  readonly dynamicRows = true;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly #config: MockConfig;
  readonly #output: TensorSpec;
  readonly #environment: MockEnvironment;
  readonly #random: () => number;
  readonly #leaked: Uint8Array[] = [];

  constructor(
    config: MockConfig,
    specs: { input: TensorSpec; output: TensorSpec },
    environment: MockEnvironment,
  ) {
    this.inputs = [specs.input];
    this.outputs = [specs.output];
    this.#config = config;
    this.#output = specs.output;
    this.#environment = environment;
    this.#random = createSeededRandom(config.seed);
  }

  async infer(inputs: readonly Tensor[]): Promise<Tensor[]> {
    const [input] = inputs;
    if (input === undefined) throw new Error("the mock got no input");
    const rows = input.datatype === "BYTES" ? (countBytesElements(input.data) ?? 0) : (input.shape[0] ?? 1);
    if (isPoison(input, this.#config.crashOn) || this.#chance(this.#config.crashRate))
      this.#environment.crash();
    this.#leak(rows);
    this.#compute();
    const waitMs = this.#config.latencyMs + this.#config.jitterMs * this.#random();
    if (waitMs > 0) await this.#environment.clock.sleep(waitMs);
    if (this.#chance(this.#config.failureRate)) throw new Error("the mock failed, as its failureRate says");
    return [this.#config.identity ? { ...input, name: "output" } : this.#scores(rows)];
  }

  close(): Promise<void> {
    this.#leaked.length = 0;
    return Promise.resolve();
  }

  #chance(rate: number): boolean {
    return rate > 0 && this.#random() < rate;
  }

  /** Blocks for `busyMs`. */
  #compute(): void {
    const { clock } = this.#environment;
    const end = clock.now() + this.#config.busyMs;
    while (this.#config.busyMs > 0 && clock.now() < end);
  }

  #leak(rows: number): void {
    if (this.#config.growMb === 0 || this.#leaked.length >= maxLeakedPieces) return;
    // Filled, because pages that were never written do not count as memory.
    this.#leaked.push(new Uint8Array(Math.round(rows * this.#config.growMb * 2 ** 20)).fill(1));
  }

  /** One chosen class a row with a confidence of the range; the others share the rest. */
  #scores(rows: number): Tensor {
    const { classes, confidence } = this.#config;
    const [low, high] = confidence;
    const values = new Float32Array(rows * classes);
    for (let row = 0; row < rows; row++) {
      const chosen = Math.floor(this.#random() * classes);
      const score = low + (high - low) * this.#random();
      values.fill(classes > 1 ? (1 - score) / (classes - 1) : 0, row * classes, (row + 1) * classes);
      values[row * classes + chosen] = score;
    }
    return floatTensor(this.#output.name, [rows, classes], values);
  }
}

/** True when a value of the input is the one that kills. */
function isPoison(input: Tensor, crashOn: number | string | undefined): boolean {
  if (crashOn === undefined) return false;
  if (input.datatype === "BYTES") {
    const poison = String(crashOn);
    return (decodeBytesElements(input.data) ?? []).some(
      (element) => new TextDecoder().decode(element) === poison,
    );
  }
  return floatValues(input.data).includes(Math.fround(Number(crashOn)));
}
