/** The runtime that llama.cpp gives, through node-llama-cpp. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../log.ts";
import type { FileFacts, Runtime, RuntimeModel } from "../port.ts";
import { errorText, Refusal } from "../refusal.ts";
import type { Llama } from "node-llama-cpp";
import { importLibrary, startLlama, type LlamaLibrary } from "./library.ts";
import { factsOf, LlamaModelAdapter } from "./model.ts";

/** How models are loaded. */
export interface LlamaRuntimeOptions {
  /** The folder in whose `node_modules` the library lies. */
  readonly library: string;
  readonly threads: number;
  /** Requests that one model computes at once. */
  readonly sequences: number;
  /** Most tokens of a request and its answer; a model that was trained on fewer has fewer. */
  readonly contextSize: number;
  readonly log: Log;
}

/** Warnings that are remembered for the reason why a model is not loaded. */
const maxSaid = 20;

/** What llama.cpp says of a failure comes this much later than the failure at the most. */
const saidDelayMs = 50;

/** Stands before the reason why llama.cpp does not load a model. */
const failureMark = "error loading model: ";

/** Starts llama.cpp. Rejects where the library is not installed or does not fit this machine. */
export async function loadLlamaRuntime(options: LlamaRuntimeOptions): Promise<Runtime> {
  const library = await importLibrary(options.library);
  const said: string[] = [];
  const remember = (text: string): void => {
    said.push(text);
    if (said.length > maxSaid) said.shift();
  };
  const llama = await startLlama(library, { ...options, said: remember });
  const loader = { library, llama, options, said };
  return {
    load: (file) => loadModel(file, loader),
    describe: (file) => describe(file, loader),
  };
}

interface Loader {
  readonly library: LlamaLibrary;
  readonly llama: Llama;
  readonly options: LlamaRuntimeOptions;
  /** What llama.cpp warned of last. */
  readonly said: string[];
}

async function describe(file: string, { library, llama }: Loader): Promise<FileFacts> {
  try {
    const info = await library.readGgufFileInfo(file, { sourceType: "filesystem" });
    return factsOf(library, await library.GgufInsights.from(info, llama));
  } catch (error) {
    throw broken(file, error);
  }
}

/** Callers are told why, and need not know where the file lies. */
function broken(file: string, error: unknown): Refusal {
  const reason = errorText(error).replaceAll(file, "its file");
  return new Refusal("model_broken", `The model cannot be loaded: ${reason}`, "model");
}

async function loadModel(
  modelPath: string,
  { library, llama, options, said }: Loader,
): Promise<RuntimeModel> {
  const { sequences, contextSize: most, threads } = options;
  said.length = 0;
  try {
    const model = await llama.loadModel({ modelPath });
    try {
      const contextSize = Math.min(most, Math.max(model.trainContextSize, 1));
      const context = await model.createContext({ sequences, contextSize, threads });
      return new LlamaModelAdapter({ library, llama, model, context });
    } catch (error) {
      await model.dispose();
      throw error;
    }
  } catch (error) {
    if (error instanceof library.InsufficientMemoryError)
      throw new Refusal("out_of_memory", errorText(error), "model");
    await sleep(saidDelayMs);
    const line = said.find((text) => text.includes(failureMark));
    throw broken(
      modelPath,
      line === undefined ? error : line.slice(line.indexOf(failureMark) + failureMark.length),
    );
  }
}
