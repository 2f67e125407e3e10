/** Entry of the database's thread: collects operations into groups and answers each after its commit. */
import { parentPort, workerData } from "node:worker_threads";
import { systemClock, type Timer } from "../core/clock.ts";
import type { StoreLimits } from "./limits.ts";
import { isDamage, UnusableStoreError } from "./open-database.ts";
import type { OperationName } from "./operations.ts";
import { durabilityOf, StoreDatabase } from "./store-database.ts";
import { transferOf } from "./transfer.ts";

/** How a thread is started. */
export interface ThreadData {
  readonly folder: string;
  readonly limits: StoreLimits;
  /** Ends the names of what is moved aside. */
  readonly stamp: string;
  /** Read the database through whatever its size: it was found damaged. */
  readonly checkAll: boolean;
}

/** One operation on its way to the thread. */
export interface ThreadCall {
  readonly place: number;
  readonly name: OperationName;
  readonly input: unknown;
  readonly now: number;
}

/** Calls of one turn of the gateway's loop; `close` ends the thread after what came before. */
export type ToThread = readonly ThreadCall[] | "close";

/** What the thread says: how the start went, answers by place, or that it ends. */
export type FromThread =
  | { readonly kind: "open"; readonly notices: readonly string[] }
  | { readonly kind: "unusable"; readonly message: string; readonly final: boolean }
  | { readonly kind: "answers"; readonly answers: readonly (readonly [place: number, answer: unknown])[] }
  | { readonly kind: "damaged"; readonly message: string };

class Collector {
  readonly #database: StoreDatabase;
  readonly #limits: StoreLimits;
  readonly #guarded: (action: () => void) => void;
  #waiting: ThreadCall[] = [];
  #timer: Timer | undefined;
  #promised = false;

  constructor(database: StoreDatabase, limits: StoreLimits, guard: (action: () => void) => void) {
    this.#database = database;
    this.#guarded = guard;
    this.#limits = limits;
  }

  /** Takes calls in. A read takes what waits along, so that it sees it. */
  take(calls: readonly ThreadCall[]): void {
    for (const call of calls) {
      this.#waiting.push(call);
      const durability = durabilityOf(call.name);
      if (durability === "read" || this.#waiting.length >= this.#limits.groupRows) this.flush();
      else this.#schedule(durability === "promised");
    }
  }

  #schedule(promised: boolean): void {
    if (this.#timer !== undefined && (this.#promised || !promised)) return;
    this.#timer?.cancel();
    this.#promised = promised;
    const delayMs = promised ? this.#limits.groupMs : this.#limits.behindMs;
    this.#timer = systemClock.after(delayMs, () => this.#guarded(() => this.flush()));
  }

  /** Commits what waits and answers. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const calls = this.#waiting;
    this.#waiting = [];
    if (calls.length === 0) return;
    const found = this.#database.execute(calls);
    const answers = calls.map(({ place }, index) => [place, found[index]] as const);
    say({ kind: "answers", answers }, transferOf(found));
  }
}

function say(message: FromThread, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function serve({ folder, limits, stamp, checkAll }: ThreadData): void {
  const database = new StoreDatabase(folder, limits, stamp, checkAll);
  const end = (): void => {
    database.close();
    parentPort?.close();
  };
  // A damaged database ends the thread in order, so that the next one can move it aside; anything else is a crash.
  const guarded = (action: () => void): void => {
    try {
      action();
    } catch (error) {
      if (!isDamage(error)) throw error;
      say({ kind: "damaged", message: describe(error) });
      end();
    }
  };
  const collector = new Collector(database, limits, guarded);
  parentPort?.on("message", (message: ToThread) => {
    guarded(() => {
      if (message !== "close") return collector.take(message);
      collector.flush();
      end();
    });
  });
  say({ kind: "open", notices: database.notices });
}

if (parentPort !== null) {
  try {
    serve(workerData as ThreadData);
  } catch (error) {
    say({ kind: "unusable", message: describe(error), final: error instanceof UnusableStoreError });
  }
}
