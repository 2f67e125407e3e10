/**
 * Calls that a client sends again: the same `x-request-id`, caller, token, parameters and picture. Groundlight's client keeps the id of
 * a call over its own retries. A repetition asks for the query of the first call: it makes no second query and no second
 * escalation. Not known over restarts.
 */
import type { Clock } from "../core/clock.ts";
import { isFailure, type Failure } from "../core/errors.ts";
import type { WireAnswer } from "../core/wire-answer.ts";
import type { QueryCall } from "./query-deps.ts";

/** How long a call counts as the same, ms. A client has given up long before. */
const repeatedWithinMs = 300_000;

/** A call may be in any place of its row: the oldest of a row goes. */
const rows = 2_048;
const places = 8;

type Outcome = WireAnswer | Failure;

interface Known {
  readonly requestId: string;
  /** The cloud may allow one token what it refuses another. */
  readonly token: string | undefined;
  /** Of caller and parameters. */
  readonly crc: number;
  readonly pictureCrc: number;
  readonly pictureBytes: number;
  readonly queryId: string;
  /** Monotonic, ms. */
  readonly at: number;
  /** Undefined once it has ended. */
  running: Promise<Outcome> | undefined;
}

/** What it needs. */
export interface RepeatedCallsParts {
  readonly clock: Clock;
  readonly nextId: () => string;
  readonly answer: (call: QueryCall) => Outcome | Promise<Outcome>;
}

/** Knows the last 16,384 calls, by and large, at most five minutes back. */
export class RepeatedCalls {
  readonly #parts: RepeatedCallsParts;
  readonly #table = Array.from({ length: rows * places }, (): Known | undefined => undefined);

  constructor(parts: RepeatedCallsParts) {
    this.#parts = parts;
  }

  /** Answers a call whose caller named its `x-request-id`; `parameters` is its query string. */
  answer(call: QueryCall, parameters: string): Promise<Outcome> {
    const { crc32 } = process.getBuiltinModule("node:zlib");
    const crc = crc32(`${call.caller.id}\n${parameters}`);
    const pictureCrc = crc32(call.picture);
    const now = this.#parts.clock.now();
    const first = (crc32(call.requestId, crc) % rows) * places;
    let free = first;
    for (let place = first; place < first + places; place += 1) {
      const known = this.#table[place];
      if (
        known?.requestId === call.requestId &&
        known.token === call.token &&
        known.crc === crc &&
        known.pictureCrc === pictureCrc &&
        known.pictureBytes === call.picture.byteLength &&
        now - known.at < repeatedWithinMs
      )
        return this.#again(call, known);
      if ((known?.at ?? -Infinity) < (this.#table[free]?.at ?? -Infinity)) free = place;
    }
    const known: Known = {
      requestId: call.requestId,
      token: call.token,
      crc,
      pictureCrc,
      pictureBytes: call.picture.byteLength,
      queryId: this.#parts.nextId(),
      at: now,
      running: undefined,
    };
    this.#table[free] = known;
    return this.#run({ ...call, queryId: known.queryId }, known);
  }

  /** The answer of the first call, or another attempt at its query where that ended without one. */
  async #again(call: QueryCall, known: Known): Promise<Outcome> {
    // Several may wait for the same attempt; the first of them that finds none running makes the next.
    while (known.running !== undefined) {
      const outcome = await known.running;
      if (!isFailure(outcome) && outcome.status < 500) return outcome;
    }
    return this.#run({ ...call, submission: { ...call.submission, imageQueryId: known.queryId } }, known);
  }

  async #run(call: QueryCall, known: Known): Promise<Outcome> {
    const outcome = this.#parts.answer(call);
    if (!(outcome instanceof Promise)) return outcome;
    known.running = outcome;
    try {
      return await outcome;
    } finally {
      if (known.running === outcome) known.running = undefined;
    }
  }
}
