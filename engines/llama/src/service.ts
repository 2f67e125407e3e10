/** Carries out requests for text and vectors: a bounded line, the model, a slot, the answer. */
import type { Generation, GenerationEvents, GenerationResult } from "./port.ts";
import type { ModelStore } from "./models/model-store.ts";
import { Refusal } from "./refusal.ts";

/** What every request says beside its own matter. */
export interface Call {
  readonly model: string;
  /** Undefined: as the engine was told. */
  readonly keepAliveMs: number | undefined;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
}

/** What an answer cost. Times in ms. */
export interface Outcome extends GenerationResult {
  readonly promptTokens: number;
  readonly loadMs: number;
  /** Until the first piece of the answer. */
  readonly promptMs: number;
  readonly totalMs: number;
}

/** Vectors in the order of the texts. */
export interface Embeddings {
  readonly vectors: readonly (readonly number[])[];
  readonly promptTokens: number;
  readonly loadMs: number;
  readonly totalMs: number;
}

/** What the service is told. */
export interface ServiceOptions {
  readonly store: ModelStore;
  /** Requests that wait for a model or a slot; beyond it `busy`. */
  readonly maxQueue: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Text and vectors from the models of a store. */
export class Service {
  readonly store: ModelStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly #maxQueue: number;
  #waiting = 0;

  constructor({ store, maxQueue, now }: ServiceOptions) {
    this.store = store;
    this.now = now;
    this.#maxQueue = maxQueue;
  }

  /** Requests that wait now. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Makes an answer. Rejects with a `Refusal`, or with the signal's reason once the client has gone. */
  async generate(call: Call, generation: Generation, events: GenerationEvents): Promise<Outcome> {
    const startMs = this.now();
    const leave = this.#enter();
    try {
      const lease = await this.store.acquire(call.model, call);
      try {
        const prepared = await lease.model.prepare(generation);
        const slot = await lease.slots.take(prepared.tokens, call.signal);
        leave();
        try {
          const slotMs = this.now();
          let firstMs: number | undefined;
          const timed = noteFirst(events, () => (firstMs ??= this.now()));
          const result = await slot.generate(prepared, timed, call.signal);
          const endMs = this.now();
          return {
            ...result,
            promptTokens: prepared.tokens.length,
            loadMs: lease.loadMs,
            promptMs: (firstMs ?? endMs) - slotMs,
            totalMs: endMs - startMs,
          };
        } finally {
          lease.slots.release(slot);
        }
      } finally {
        lease.release();
      }
    } finally {
      leave();
    }
  }

  /** Vectors of texts. Rejects as `generate` does. */
  async embed(call: Call, texts: readonly string[]): Promise<Embeddings> {
    const startMs = this.now();
    const leave = this.#enter();
    try {
      const lease = await this.store.acquire(call.model, call);
      try {
        const vectors: (readonly number[])[] = [];
        let promptTokens = 0;
        for (const text of texts) {
          call.signal.throwIfAborted();
          const { vector, tokens } = await lease.model.embed(text, call.signal);
          vectors.push(vector);
          promptTokens += tokens;
        }
        return { vectors, promptTokens, loadMs: lease.loadMs, totalMs: this.now() - startMs };
      } finally {
        lease.release();
      }
    } finally {
      leave();
    }
  }

  /** Takes a place in the line; what comes back gives it up, once. */
  #enter(): () => void {
    if (this.#waiting >= this.#maxQueue) {
      const text = `server busy: ${this.#waiting} requests are waiting already`;
      throw new Refusal("busy", text);
    }
    this.#waiting++;
    let inside = true;
    return () => {
      if (inside) this.#waiting--;
      inside = false;
    };
  }
}

/** The same events, and a call at the first. */
function noteFirst(events: GenerationEvents, first: () => void): GenerationEvents {
  return {
    text(text) {
      first();
      events.text(text);
    },
    thought(text) {
      first();
      events.thought(text);
    },
    call(call) {
      first();
      events.call(call);
    },
  };
}
