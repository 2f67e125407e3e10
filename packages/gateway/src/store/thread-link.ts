/** The gateway's side of the database's thread: sends calls, settles each exactly once, starts the thread again when it dies. */
import { Worker } from "node:worker_threads";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { StoreLimits } from "./limits.ts";
import type { OperationName } from "./operations.ts";
import type { FromThread, ThreadCall, ThreadData, ToThread } from "./store-thread.ts";

/** What the link needs. */
export interface ThreadLinkOptions {
  /** The data directory. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: StoreLimits;
}

type Done = (answer: unknown) => void;

interface Pending {
  readonly done: Done;
  readonly since: number;
  readonly bytes: number;
  /** It was told that it takes too long; its place stays taken until the thread has answered. */
  given: boolean;
}

/** One call on its way into the next message to the thread. */
interface Outgoing {
  readonly name: OperationName;
  readonly input: unknown;
  readonly done: Done;
  readonly bytes: number;
  readonly transfer: ArrayBuffer | undefined;
}

/** With so much of what nobody waits for, a message leaves at once. */
const behindCalls = 64;
const behindBytes = 1_048_576;

const entry = new URL(
  import.meta.url.endsWith(".ts") ? "./store-thread.ts" : "./store-thread.js",
  import.meta.url,
);

const firstBackOffMs = 100;
const longestBackOffMs = 30_000;
const closeMs = 10_000;
/** Room for the largest answers several times over. */
const heapMb = 256;

/** A thread and the calls that are on their way to it. */
export class ThreadLink {
  /** Times the thread was started again. */
  restarts = 0;
  readonly #options: ThreadLinkOptions;
  #worker: Worker | undefined;
  #open = false;
  #closing: Promise<void> | undefined;
  #checkAll = false;
  #why = "it has not been opened yet";
  #backOffMs = firstBackOffMs;
  #pending: (Pending | undefined)[] = [];
  readonly #free: number[] = [];
  #count = 0;
  #bytes = 0;
  #outgoing: ThreadCall[] = [];
  #transfer: ArrayBuffer[] = [];
  /** What is outgoing leaves within this turn of the event loop. */
  #isDue = false;
  #behind: Timer | undefined;
  #behindBytes = 0;
  #watch: Timer | undefined;
  #restart: Timer | undefined;

  constructor(options: ThreadLinkOptions) {
    this.#options = options;
  }

  /**
   * Starts the thread. A failure where the data directory belongs to another process or a newer Spillway; any other trouble is
   * logged and tried again with back-off, and calls fail until then.
   */
  start(): Promise<undefined | Failure> {
    return new Promise((resolve) => this.#spawn(resolve));
  }

  /** Sends a call; `done` is called exactly once, with its answer or a failure. */
  call(name: OperationName, input: unknown, done: Done, bytes = 0, transfer?: ArrayBuffer): void {
    this.#take({ name, input, done, bytes, transfer });
    if (this.#outgoing.length === 0 || this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => this.#send());
  }

  /**
   * As `call`, for what nobody waits for: it goes with the next call that somebody waits for, and is on the disk at the
   * latest after `limits.behindMs`. To wake the thread for each record of each request costs more than to write it.
   */
  callBehind(name: OperationName, input: unknown, done: Done, bytes = 0, transfer?: ArrayBuffer): void {
    this.#take({ name, input, done, bytes, transfer });
    if (this.#outgoing.length === 0 || this.#isDue) return;
    this.#behindBytes += bytes;
    if (this.#outgoing.length >= behindCalls || this.#behindBytes >= behindBytes) this.#send();
    else this.#behind ??= this.#options.clock.after(this.#gatherMs, () => this.#send());
  }

  #take({ name, input, done, bytes, transfer }: Outgoing): void {
    const refused = this.#refusal(bytes);
    if (refused !== undefined) return done(refused);
    const place = this.#free.pop() ?? this.#pending.length;
    this.#pending[place] = { done, since: this.#options.clock.now(), bytes, given: false };
    this.#count += 1;
    this.#bytes += bytes;
    if (this.#count === 1) this.#worker?.ref();
    this.#outgoing.push({ place, name, input, now: this.#options.clock.wallNow() });
    if (transfer !== undefined) this.#transfer.push(transfer);
    this.#watch ??= this.#watchLater(this.#options.limits.answerMs);
  }

  /** Why a call that brings so many bytes would be refused now. */
  #refusal(bytes: number): Failure | undefined {
    if (this.#closing !== undefined) return failure("draining");
    if (!this.#open)
      return failure("storage_unavailable", `The database is not open: ${this.#why}`, this.#backOffMs);
    const { maxPending, maxPendingBytes } = this.#options.limits;
    if (this.#count >= maxPending || (this.#bytes > 0 && this.#bytes + bytes > maxPendingBytes))
      return failure("overloaded", "The database has too much to write at once", 1_000);
    return undefined;
  }

  /** The thread itself waits as long as for a promised write. */
  get #gatherMs(): number {
    const { behindMs, groupMs } = this.#options.limits;
    return Math.max(0, behindMs - groupMs);
  }

  #send(): void {
    this.#behind?.cancel();
    this.#behind = undefined;
    this.#behindBytes = 0;
    this.#isDue = false;
    const calls = this.#outgoing;
    const transfer = this.#transfer;
    this.#outgoing = [];
    this.#transfer = [];
    if (calls.length > 0) this.#worker?.postMessage(calls satisfies ToThread, transfer);
  }

  #spawn(opened: (problem: undefined | Failure) => void): void {
    const { folder, limits, clock, log } = this.#options;
    const stamp = new Date(clock.wallNow()).toISOString().replaceAll(/[:.]/g, "-");
    const given = { ...limits, behindMs: Math.min(limits.behindMs, limits.groupMs) };
    const workerData: ThreadData = { folder, limits: given, stamp, checkAll: this.#checkAll };
    const worker = new Worker(entry, { workerData, resourceLimits: { maxOldGenerationSizeMb: heapMb } });
    this.#worker = worker;
    worker.on("message", (message: FromThread) => {
      if (message.kind === "answers") return this.#settle(message.answers);
      if (message.kind === "open") {
        this.#open = true;
        this.#checkAll = false;
        this.#rest();
        for (const notice of message.notices) log.warn("store_recovered", { message: notice });
        return opened(undefined);
      }
      this.#why = message.message;
      if (message.kind === "damaged") this.#checkAll = true;
      else if (message.final) opened(failure("storage_unavailable", message.message));
    });
    worker.on("error", (error) => (this.#why = error instanceof Error ? error.message : String(error)));
    worker.on("exit", () => {
      this.#ended(worker);
      opened(undefined);
    });
  }

  #settle(answers: readonly (readonly [place: number, answer: unknown])[]): void {
    this.#backOffMs = firstBackOffMs;
    for (const [place, answer] of answers) {
      const pending = this.#release(place);
      if (pending !== undefined && !pending.given) pending.done(answer);
    }
    this.#rest();
  }

  /** The thread keeps the process alive only while something waits for it, or for its end. */
  #rest(): void {
    if (this.#count === 0 && this.#closing === undefined) this.#worker?.unref();
  }

  #release(place: number): Pending | undefined {
    const pending = this.#pending[place];
    if (pending === undefined) return undefined;
    this.#pending[place] = undefined;
    this.#free.push(place);
    this.#count -= 1;
    this.#bytes -= pending.bytes;
    return pending;
  }

  #ended(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#open = false;
    const lost = this.#pending;
    this.#forget();
    const told = failure("storage_unavailable", `The database's thread ended: ${this.#why}`, this.#backOffMs);
    for (const pending of lost) if (pending?.given === false) pending.done(told);
    if (this.#closing === undefined) this.#startLater();
  }

  #forget(): void {
    this.#pending = [];
    this.#free.length = 0;
    this.#count = 0;
    this.#bytes = 0;
    this.#outgoing = [];
    this.#transfer = [];
    this.#behind?.cancel();
    this.#behind = undefined;
    this.#behindBytes = 0;
  }

  #startLater(): void {
    const { clock, log } = this.#options;
    log.error("store_unavailable", { reason: this.#why, retryMs: this.#backOffMs });
    this.#restart = clock.after(this.#backOffMs, () => {
      this.restarts += 1;
      this.#spawn((problem) => {
        if (problem === undefined && this.#open) log.info("store_available");
      });
    });
    this.#backOffMs = Math.min(longestBackOffMs, this.#backOffMs * 2);
  }

  /** Tells calls that wait too long that they do; what becomes of them is not known. */
  #watchLater(delayMs: number): Timer {
    return this.#options.clock.after(delayMs, () => {
      this.#watch = undefined;
      const { clock, limits } = this.#options;
      let oldest = Infinity;
      for (const pending of this.#pending) {
        if (pending === undefined || pending.given) continue;
        if (clock.now() - pending.since < limits.answerMs) oldest = Math.min(oldest, pending.since);
        else {
          pending.given = true;
          pending.done(failure("storage_unavailable", "The disk takes too long to answer", 5_000));
        }
      }
      if (oldest !== Infinity) this.#watch = this.#watchLater(oldest + limits.answerMs - clock.now());
    });
  }

  /** Ends the thread after what was sent. Idempotent; at most 10 s. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#restart?.cancel();
    const worker = this.#worker;
    if (worker !== undefined) {
      this.#send();
      worker.ref();
      worker.postMessage("close" satisfies ToThread);
      await new Promise<void>((resolve) => {
        const timer = this.#options.clock.after(closeMs, () => void worker.terminate());
        worker.once("exit", () => {
          timer.cancel();
          resolve();
        });
      });
    }
    this.#watch?.cancel();
  }
}
