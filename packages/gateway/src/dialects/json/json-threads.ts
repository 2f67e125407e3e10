/**
 * Threads that read, write and translate JSON, and typed protobuf contents, too large for the event loop. Started when first needed, ended
 * when idle; one task at a time each; what waits is bounded.
 */
import { Worker } from "node:worker_threads";
import type { Cancellation } from "../../core/cancellation.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { failure, GatewayError, toFailure, type Failure } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { ThreadRequest } from "./json-thread.ts";
import { nextTurn } from "./in-turns.ts";
import { defaultJsonLimits, type JsonLimits } from "./scan-json.ts";
import type { PredictionTensors } from "../tfserving/predictions-text.ts";
import type { EncodedValues, ThreadTasks } from "./thread-tasks.ts";

/** Bounds of JSON reading and writing. */
export interface JsonThreadLimits extends JsonLimits {
  /** A JSON text up to this size is parsed on the event loop. Default 256 KiB, about 1 ms. */
  readonly parseInPlaceBytes: number;
  /** Tensors up to this size in sum are written on the event loop. Default 32 KiB: 1 ms, at worst (16-bit floats) 4 ms. */
  readonly writeInPlaceBytes: number;
  /** Default 1. */
  readonly maxThreads: number;
  /** Tasks waiting for a thread; beyond it `overloaded`. Default 256. */
  readonly maxQueue: number;
  /** How long a thread without work is kept, ms. Default 30,000. */
  readonly idleMs: number;
}

/** The defaults named in `JsonThreadLimits`. */
const defaultJsonThreadLimits: JsonThreadLimits = {
  ...defaultJsonLimits,
  parseInPlaceBytes: 256 * 1024,
  writeInPlaceBytes: 32 * 1024,
  maxThreads: 1,
  maxQueue: 256,
  idleMs: 30_000,
};

type ReadTask = Extract<keyof ThreadTasks, `read${string}`>;

/** Tasks over bytes that somebody else still needs. */
export type TranslateTask = Extract<keyof ThreadTasks, `translate${string}`>;

/** What the threads need. */
export interface JsonThreadsOptions {
  readonly clock: Clock;
  readonly limits?: Partial<JsonThreadLimits>;
}

interface Task {
  readonly request: ThreadRequest;
  readonly transfer: ArrayBuffer[];
  /** Bytes that are copied for the thread, as the input's `body`, when it is the task's turn. */
  readonly pieces?: readonly Uint8Array[];
  readonly cancellation: Cancellation | undefined;
  readonly done: (result: unknown) => void;
}

/**
 * State of a thread: `task` is what it runs; without one it is idle and `timer` will end it.
 */
interface Thread {
  readonly worker: Worker;
  task: Task | undefined;
  timer: Timer | undefined;
}

const entry = new URL(
  import.meta.url.endsWith(".ts") ? "./json-thread.ts" : "./json-thread.js",
  import.meta.url,
);

/** Room for several times `maxValues`: the limit is never what ends a task. */
const heapMb = 1024;

/** A bounded pool of threads for large JSON. */
export class JsonThreads {
  readonly limits: JsonThreadLimits;
  readonly #clock: Clock;
  readonly #threads = new Set<Thread>();
  #queue: Task[] = [];
  #closed = false;

  constructor(options: JsonThreadsOptions) {
    this.#clock = options.clock;
    this.limits = { ...defaultJsonThreadLimits, ...options.limits };
  }

  /** Threads that exist now. */
  get size(): number {
    return this.#threads.size;
  }

  /**
   * Reads a body with one of the tasks. The body's memory goes to the thread: where it is a buffer
   * of its own it is empty afterwards, else it is copied.
   */
  read<Name extends ReadTask>(
    name: Name,
    input: Parameters<ThreadTasks[Name]>[0],
    cancellation: Cancellation,
  ): Promise<ReturnType<ThreadTasks[Name]> | Failure> {
    const body = ownMemory(input.body);
    const request: ThreadRequest = { name, input: { ...input, body }, limits: this.limits };
    return this.#enqueue({ request, transfer: [body.buffer], cancellation }) as Promise<
      ReturnType<ThreadTasks[Name]> | Failure
    >;
  }

  /**
   * Runs a task over bytes that stay where they are. They are copied once a thread is free, a part each turn of
   * the event loop: what waits takes no memory of its own.
   */
  translate<Name extends TranslateTask>(
    name: Name,
    input: Omit<Parameters<ThreadTasks[Name]>[0], "body">,
    pieces: readonly Uint8Array[],
    cancellation?: Cancellation,
  ): Promise<ReturnType<ThreadTasks[Name]> | Failure> {
    const request: ThreadRequest = { name, input, limits: this.limits };
    return this.#enqueue({ request, transfer: [], pieces, cancellation }) as Promise<
      ReturnType<ThreadTasks[Name]> | Failure
    >;
  }

  /** Writes tensors as JSON arrays, leaving out what is undefined. The tensors are copied. */
  writeValues(tensors: readonly (Tensor | undefined)[]): Promise<(EncodedValues | undefined)[] | Failure> {
    const copies = tensors.map((tensor) => tensor && copyOf(tensor));
    return this.#write("writeValues", copies, copies) as Promise<(EncodedValues | undefined)[] | Failure>;
  }

  /** Writes the value of `predictions` or `outputs`. The tensors are copied. */
  writePredictions(request: PredictionTensors): Promise<Uint8Array | Failure> {
    const tensors = request.tensors.map(copyOf);
    return this.#write("writePredictions", { ...request, tensors }, tensors) as Promise<Uint8Array | Failure>;
  }

  /** Writes outputs with typed contents for gRPC. The tensors are copied. */
  writeTyped(tensors: readonly Tensor[]): Promise<Uint8Array | Failure> {
    const copies = tensors.map(copyOf);
    return this.#write("writeTyped", copies, copies) as Promise<Uint8Array | Failure>;
  }

  #write(
    name: Exclude<keyof ThreadTasks, ReadTask | TranslateTask>,
    input: unknown,
    copies: readonly (TensorCopy | undefined)[],
  ): Promise<unknown> {
    const transfer = copies.flatMap((tensor) => (tensor === undefined ? [] : [tensor.data.buffer]));
    return this.#enqueue({
      request: { name, input, limits: this.limits },
      transfer,
      cancellation: undefined,
    });
  }

  /** Ends the threads; what waits fails with `draining`. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const task of this.#queue.splice(0)) task.done(failure("draining"));
    for (const thread of this.#threads) this.#end(thread, failure("draining"));
  }

  #enqueue(task: Omit<Task, "done">): Promise<unknown> {
    if (this.#closed) return Promise.resolve(failure("draining"));
    if (this.#queue.length >= this.limits.maxQueue)
      return Promise.resolve(failure("overloaded", "Too much large JSON at once", 1_000));
    return new Promise((done) => {
      this.#queue.push({ ...task, done });
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#queue.length > 0) {
      const thread = this.#idleThread();
      if (thread === undefined) return;
      const task = this.#queue.shift();
      if (task === undefined) return;
      if (task.cancellation?.reason === undefined) this.#start(thread, task);
      else task.done(failure("client_gone"));
    }
  }

  #idleThread(): Thread | undefined {
    for (const thread of this.#threads) if (thread.task === undefined) return thread;
    return this.#threads.size < this.limits.maxThreads ? this.#spawn() : undefined;
  }

  #spawn(): Thread {
    const worker = new Worker(entry, { resourceLimits: { maxOldGenerationSizeMb: heapMb } });
    const thread: Thread = { worker, task: undefined, timer: undefined };
    worker.on("message", (result: unknown) => this.#finish(thread, result));
    worker.on("error", (error) =>
      this.#end(thread, new GatewayError("internal", undefined, { cause: error })),
    );
    worker.on("exit", () => this.#end(thread, failure("internal")));
    worker.unref();
    this.#threads.add(thread);
    return thread;
  }

  #start(thread: Thread, task: Task): void {
    thread.timer?.cancel();
    thread.timer = undefined;
    thread.task = task;
    thread.worker.ref();
    if (task.pieces === undefined) thread.worker.postMessage(task.request, task.transfer);
    else void this.#copyAndPost(thread, task, task.pieces);
  }

  /** The caller may leave, and the thread may die, while the bytes are copied. */
  async #copyAndPost(thread: Thread, task: Task, pieces: readonly Uint8Array[]): Promise<void> {
    const isWanted = (): boolean => thread.task === task && task.cancellation?.reason === undefined;
    try {
      const body = await copyInTurns(pieces, isWanted);
      if (thread.task !== task) return;
      if (body === undefined) return this.#finish(thread, failure("client_gone"));
      const { request } = task;
      const input = { ...(request.input as object), body };
      thread.worker.postMessage({ ...request, input } satisfies ThreadRequest, [body.buffer]);
    } catch (error) {
      // No memory for the copy.
      if (thread.task === task) this.#finish(thread, toFailure(error));
    }
  }

  #finish(thread: Thread, result: unknown): void {
    const task = thread.task;
    thread.task = undefined;
    thread.worker.unref();
    thread.timer = this.#clock.after(this.limits.idleMs, () => this.#end(thread, failure("internal")));
    task?.done(result);
    this.#pump();
  }

  /** Forgets a thread; its task, if it has one, fails alone. */
  #end(thread: Thread, reason: Failure): void {
    if (!this.#threads.delete(thread)) return;
    thread.timer?.cancel();
    void thread.worker.terminate();
    const task = thread.task;
    thread.task = undefined;
    task?.done(reason);
    if (!this.#closed) this.#pump();
  }
}

type TensorCopy = Tensor & { readonly data: Uint8Array<ArrayBuffer> };

function copyOf(tensor: Tensor): TensorCopy {
  return { ...tensor, data: new Uint8Array(tensor.data) };
}

/** A body as memory of its own, that can be handed over. Expects more bytes than Node's shared pool has. */
function ownMemory(body: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = body;
  const whole =
    buffer instanceof ArrayBuffer &&
    buffer.byteLength === body.byteLength &&
    body.byteLength > Buffer.poolSize;
  return whole ? new Uint8Array(buffer) : new Uint8Array(body);
}

/** Bytes copied in one turn of the event loop: under a millisecond where memory is slow. */
const copiedInATurn = 1_048_576;

/** The pieces as one, in memory of its own; undefined as soon as nobody wants them any more. */
async function copyInTurns(
  pieces: readonly Uint8Array[],
  isWanted: () => boolean,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const copy = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  let room = copiedInATurn;
  for (const piece of pieces) {
    for (let from = 0; from < piece.length;) {
      const part = piece.subarray(from, from + room);
      copy.set(part, at);
      at += part.length;
      from += part.length;
      room -= part.length;
      if (room > 0) continue;
      room = copiedInATurn;
      await nextTurn();
      if (!isWanted()) return undefined;
    }
  }
  return copy;
}
