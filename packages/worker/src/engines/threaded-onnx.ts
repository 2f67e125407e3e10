/**
 * An ONNX model on a thread of its own. A run blocks the thread it is on: here that is not the one that reads the next
 * call off the socket and writes the last answer, so that the model goes from one call to the next without a pause.
 */
import { Worker } from "node:worker_threads";
import type { OnnxConfig } from "../repository/model-config.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";
import type { Engine } from "./engine.ts";
import "./onnx-telemetry.ts";
import type { FromOnnxThread, OnnxThreadData, PlacedInput, ToOnnxThread } from "./onnx-thread.ts";

/** The thread's program: TypeScript in a checkout, JavaScript in a package. */
const entry = new URL(
  import.meta.url.endsWith(".ts") ? "./onnx-thread.ts" : "./onnx-thread.js",
  import.meta.url,
);

/** Inputs begin at multiples of this: a processor's cache line, and more than any datatype needs. */
const alignment = 64;

/** Memory of a call between these sizes is used again, for the calls to come. */
const smallestBytes = 65_536;
const largestKeptBytes = 16_777_216;

/** One call runs and one is there when it ends; another may be filled before the first one's memory is back. */
const depth = 2;
const maxKept = depth + 1;

/** Loads an ONNX file on a new thread. Rejects with ONNX Runtime's reason when it cannot. */
export async function loadThreadedOnnxEngine(file: string, config: OnnxConfig): Promise<Engine> {
  const data: OnnxThreadData = { file, config };
  const thread = new Worker(entry, { workerData: data });
  const message = await firstMessage(thread);
  if (message.kind === "loaded") return new ThreadedOnnxEngine(thread, message);
  await thread.terminate();
  throw new Error("reason" in message ? message.reason : "the model's thread cannot be understood");
}

async function firstMessage(thread: Worker): Promise<FromOnnxThread> {
  try {
    return await new Promise<FromOnnxThread>((resolve, reject) => {
      thread.once("message", resolve).once("error", reject);
      thread.once("exit", () => reject(new Error("the model's thread ended while it loaded")));
    });
  } finally {
    // From now on an error of the thread has no listener: it ends the process, as the same one on the main thread does.
    thread.removeAllListeners("error").removeAllListeners("exit");
  }
}

/** Who waits for a run. */
interface Waiting {
  resolve(outputs: Tensor[]): void;
  reject(error: Error): void;
}

class ThreadedOnnxEngine implements Engine {
  readonly kind = "onnx";
  readonly platform = "onnxruntime_onnx";
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly dynamicRows: boolean;
  readonly depth = depth;
  readonly #thread: Worker;
  readonly #ended: Promise<void>;
  readonly #waiting: Waiting[] = [];
  readonly #kept: ArrayBuffer[] = [];
  #closed = false;

  constructor(thread: Worker, loaded: Extract<FromOnnxThread, { kind: "loaded" }>) {
    this.#thread = thread;
    this.inputs = loaded.inputs;
    this.outputs = loaded.outputs;
    this.dynamicRows = loaded.dynamicRows;
    thread.on("message", (message: FromOnnxThread) => this.#heard(message));
    this.#ended = new Promise((resolve) => thread.once("exit", () => resolve()));
    void this.#ended.then(() => this.#refuseRest());
  }

  infer(...[inputs, outputNames]: Parameters<Engine["infer"]>): ReturnType<Engine["infer"]> {
    if (this.#closed) return Promise.reject(new Error("the model is disposed"));
    const { memory, placed } = this.#place(inputs);
    this.#say({ kind: "run", memory, inputs: placed, outputNames }, [memory]);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  async close(): Promise<void> {
    if (!this.#closed) this.#say({ kind: "close" }, []);
    this.#closed = true;
    await this.#ended;
  }

  #say(message: ToOnnxThread, transfer: readonly ArrayBuffer[]): void {
    this.#thread.postMessage(message, transfer);
  }

  #heard(message: FromOnnxThread): void {
    if (message.kind !== "outputs" && message.kind !== "failed") return;
    this.#keep(message.memory);
    const waiting = this.#waiting.shift();
    if (message.kind === "outputs") waiting?.resolve([...message.outputs]);
    else waiting?.reject(new Error(message.reason));
  }

  #refuseRest(): void {
    this.#closed = true;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(new Error("the model's thread has ended"));
  }

  /** Copies the inputs side by side, each aligned: the caller's bytes stay the caller's. */
  #place(inputs: readonly Tensor[]): { readonly memory: ArrayBuffer; readonly placed: PlacedInput[] } {
    let bytes = 0;
    const placed = inputs.map(({ name, datatype, shape, data }): PlacedInput => {
      const offset = bytes;
      bytes = offset + Math.ceil(data.length / alignment) * alignment;
      return { name, datatype, shape, offset, length: data.length };
    });
    const memory = this.#memory(bytes);
    for (const [index, { data }] of inputs.entries())
      new Uint8Array(memory, placed[index]?.offset, data.length).set(data);
    return { memory, placed };
  }

  #memory(bytes: number): ArrayBuffer {
    const index = this.#kept.findIndex(({ byteLength }) => byteLength >= bytes);
    const [kept] = index < 0 ? [] : this.#kept.splice(index, 1);
    if (kept !== undefined) return kept;
    let size = smallestBytes;
    while (size < bytes) size *= 2;
    return new ArrayBuffer(bytes > largestKeptBytes ? bytes : size);
  }

  #keep(memory: ArrayBuffer): void {
    if (memory.byteLength > largestKeptBytes) return;
    if (this.#kept.length >= maxKept) this.#kept.shift();
    this.#kept.push(memory);
  }
}
