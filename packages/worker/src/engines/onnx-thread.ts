/** Entry of a model's own thread: loads the model, then runs call after call. */
import type { MessagePort } from "node:worker_threads";
import { parentPort, workerData } from "node:worker_threads";
import type { OnnxConfig } from "../repository/model-config.ts";
import { errorText } from "../refusal.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";
import type { Engine } from "./engine.ts";
import { loadOnnxEngine } from "./onnx.ts";

/** What the thread is started with. */
export interface OnnxThreadData {
  readonly file: string;
  readonly config: OnnxConfig;
}

/** An input whose bytes lie in the call's memory. */
export interface PlacedInput extends TensorSpec {
  readonly offset: number;
  readonly length: number;
}

/** One run, or the end of the thread. The memory is transferred, and comes back with the answer. */
export type ToOnnxThread =
  | {
      readonly kind: "run";
      readonly memory: ArrayBuffer;
      readonly inputs: readonly PlacedInput[];
      readonly outputNames: readonly string[] | undefined;
    }
  | { readonly kind: "close" };

/** How loading went, then one message a run, in the order of the runs. */
export type FromOnnxThread =
  | {
      readonly kind: "loaded";
      readonly inputs: readonly TensorSpec[];
      readonly outputs: readonly TensorSpec[];
      readonly dynamicRows: boolean;
    }
  | { readonly kind: "unusable"; readonly reason: string }
  | { readonly kind: "outputs"; readonly outputs: readonly Tensor[]; readonly memory: ArrayBuffer }
  | { readonly kind: "failed"; readonly reason: string; readonly memory: ArrayBuffer };

type Run = Extract<ToOnnxThread, { kind: "run" }>;

async function serve(port: MessagePort): Promise<void> {
  const { file, config } = workerData as OnnxThreadData;
  let engine: Engine;
  try {
    engine = await loadOnnxEngine(file, config);
  } catch (error) {
    return say(port, { kind: "unusable", reason: errorText(error) });
  }
  let last: Promise<void> = Promise.resolve();
  port.on("message", (message: ToOnnxThread) => {
    last = last.then(() => (message.kind === "run" ? run(port, engine, message) : end(port, engine)));
  });
  const { inputs, outputs, dynamicRows } = engine;
  say(port, { kind: "loaded", inputs, outputs, dynamicRows });
}

async function run(port: MessagePort, engine: Engine, { memory, inputs, outputNames }: Run): Promise<void> {
  try {
    const tensors = inputs.map(({ name, datatype, shape, offset, length }) => {
      return { name, datatype, shape, data: new Uint8Array(memory, offset, length) };
    });
    const outputs = await engine.infer(tensors, outputNames);
    say(port, { kind: "outputs", outputs, memory }, [memory, ...wholeBuffers(outputs)]);
  } catch (error) {
    say(port, { kind: "failed", reason: errorText(error), memory }, [memory]);
  }
}

async function end(port: MessagePort, engine: Engine): Promise<void> {
  await engine.close();
  port.close();
}

/** Memory that belongs to one output alone changes hands; the rest is copied. */
function wholeBuffers(outputs: readonly Tensor[]): Set<ArrayBuffer> {
  const buffers = new Set<ArrayBuffer>();
  for (const { data } of outputs) {
    const { buffer } = data;
    if (buffer instanceof ArrayBuffer && buffer.byteLength === data.byteLength) buffers.add(buffer);
  }
  return buffers;
}

function say(port: MessagePort, message: FromOnnxThread, transfer: readonly ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

if (parentPort !== null) void serve(parentPort);
