/** The engine's command line. */
import { availableParallelism, totalmem } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

/** What the engine is told. */
export interface EngineOptions {
  /** Folders with GGUF files. */
  readonly models: readonly string[];
  /** Where to listen: a Unix socket's path, or a port of 127.0.0.1. */
  readonly listen: { readonly path: string } | { readonly port: number };
  /** The folder in whose `node_modules` node-llama-cpp lies. */
  readonly library: string;
  readonly threads: number;
  readonly sequences: number;
  readonly contextSize: number;
  readonly memoryBytes: number;
  readonly keepAliveMs: number;
  readonly maxQueue: number;
  /** Only finds out whether the library loads. */
  readonly check: boolean;
  /** Ends with its parent, and leaves signals to it. */
  readonly supervised: boolean;
}

/** What `--help` prints. */
export const usage = `main.ts --models FOLDER [--models FOLDER …] (--socket PATH | --port PORT)

  --models FOLDER      folder with GGUF files; may be given again
  --socket PATH        listen on a Unix socket
  --port PORT          listen on 127.0.0.1
  --library FOLDER     folder in whose node_modules node-llama-cpp is installed (default: the engine's own)
  --threads N          threads that compute (default: half of the cores)
  --sequences N        requests of one model that are computed at once (default: 4)
  --context N          most tokens of a request and its answer (default: 4096)
  --memory MB          memory of all loaded models together (default: 70 % of the machine's)
  --keep-alive S       seconds a model stays loaded without requests; negative: forever (default: 300)
  --max-queue N        requests that may wait (default: 64)
  --check              load llama.cpp and end: it works on this machine, or the last line says why not
  --supervised         end when standard input closes, ignore SIGINT and SIGTERM
`;

const mebibyte = 2 ** 20;

/** Reads the arguments. Undefined: help was asked for. Throws an `Error` that says what is wrong. */
export function readArguments(args: readonly string[], ownFolder: string): EngineOptions | undefined {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      models: { ...text, multiple: true },
      socket: text,
      port: text,
      library: text,
      threads: text,
      sequences: text,
      context: text,
      memory: text,
      "keep-alive": text,
      "max-queue": text,
      check: flag,
      supervised: flag,
      help: flag,
    },
  });
  if (values.help === true) return undefined;
  const { models = [], socket, port } = values;
  const check = values.check === true;
  if (models.length === 0 && !check) throw new Error("--models is required");
  if ((socket === undefined) === (port === undefined) && !check)
    throw new Error("one of --socket and --port is required");
  const keepAliveSeconds = number("keep-alive", values["keep-alive"], { from: -1, to: 1e9 }) ?? 300;
  const memory = number("memory", values.memory, { from: 1, to: 1e9 });
  return {
    models: models.map((folder) => resolve(folder)),
    listen:
      socket === undefined
        ? { port: number("port", port, { from: 0, to: 65_535 }) ?? 0 }
        : { path: resolve(socket) },
    library: values.library === undefined ? ownFolder : resolve(values.library),
    threads: number("threads", values.threads, { from: 1, to: 1_024 }) ?? defaultThreads(),
    sequences: number("sequences", values.sequences, { from: 1, to: 64 }) ?? 4,
    contextSize: number("context", values.context, { from: 16, to: 10_000_000 }) ?? 4_096,
    memoryBytes: memory === undefined ? defaultMemoryBytes() : memory * mebibyte,
    keepAliveMs: keepAliveSeconds < 0 ? Infinity : keepAliveSeconds * 1_000,
    maxQueue: number("max-queue", values["max-queue"], { from: 1, to: 100_000 }) ?? 64,
    check,
    supervised: values.supervised === true,
  };
}

/** Threads wait for each other at every step: where others want the cores too, one each is slower than fewer. */
function defaultThreads(): number {
  return Math.max(1, Math.floor(availableParallelism() / 2));
}

/** Of the machine's memory, or of what this process may have of it. */
function defaultMemoryBytes(): number {
  const constrained = process.constrainedMemory();
  const all = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.floor(all * 0.7);
}

function number(
  name: string,
  text: string | undefined,
  { from, to }: { readonly from: number; readonly to: number },
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= from && value <= to) return value;
  throw new Error(`--${name}: expected a whole number from ${from} to ${to}, found "${text}"`);
}
