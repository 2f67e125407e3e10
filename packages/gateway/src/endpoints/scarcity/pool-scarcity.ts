/** The scarcity of a pool's models: looks at its servers and its line again and again. */
import type { HttpEndpointState } from "../../contracts/http-endpoint.ts";
import type { Snapshot } from "../../contracts/inspect.ts";
import type { SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import type { Scarcity, ScarcityReading, ScarcityRegime } from "../../contracts/scarcity.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { orNull } from "../show-endpoint.ts";
import { ModelScarcity, type ScarcitySample } from "./model-scarcity.ts";
import { fullnessOf } from "./server-fullness.ts";

/** A server as far as scarcity looks at it. */
export interface MeasuredServer extends SchedulableEndpoint {
  readonly state: HttpEndpointState;
  /** Requests that it has answered well since it is known. */
  readonly answered: number;
}

/** The pool as far as scarcity looks at it. */
export interface MeasuredPool {
  readonly name: string;
  /** Every model once; `anyModel` where servers take whatever is asked. */
  modelNames(): readonly string[];
  serversFor(model: string): readonly MeasuredServer[];
  /** How full a server is by what the configuration says that this means; absent or undefined: `fullnessOf`. */
  fullnessOf?(server: SchedulableEndpoint): number | undefined;
  /** Requests in line for the model, and how long the first has waited, ms. */
  lineFor(model: string): { readonly waiting: number; readonly oldestMs: number };
}

/** What stands for every model of a pool whose servers take any. */
export const anyModel = "*";

/** How often it looks, ms. */
const lookMs = 250;
/** Models that are followed; those beyond count as plentiful. */
const maxModels = 64;
/** Servers that are at least so full show how many requests a full one works on. */
const nearlyFull = 0.8;
/** Below it, one cannot tell from a server what it would do if it were full. */
const barelyUsed = 0.1;

/** Follows the models of one pool. */
export class PoolScarcity implements Scarcity {
  readonly #pool: MeasuredPool;
  readonly #clock: Clock;
  readonly #models = new Map<string, ModelScarcity>();
  #timer: Timer | undefined;

  constructor(pool: MeasuredPool, clock: Clock) {
    this.#pool = pool;
    this.#clock = clock;
  }

  /** Begins to look. */
  start(): void {
    this.#timer ??= this.#clock.after(lookMs, () => {
      this.#timer = undefined;
      this.look();
      this.start();
    });
  }

  /** Idempotent. */
  close(): void {
    this.#timer?.cancel();
    this.#models.clear();
  }

  regimeOf(model: string): ScarcityRegime {
    return (this.#models.get(model) ?? this.#models.get(anyModel))?.regime ?? "plenty";
  }

  readings(): readonly ScarcityReading[] {
    return [...this.#models.values()].map((model) => model.reading());
  }

  inspect(): Snapshot {
    const now = this.#clock.now();
    return this.readings().map((reading) => ({
      ...reading,
      since: Math.round((now - reading.since) / 1_000),
      waitMs: orNull(Math.round(reading.waitMs)),
      secondsToSaturation: orNull(Math.round(reading.secondsToSaturation)),
    }));
  }

  /** Looks once. */
  look(): void {
    const now = this.#clock.now();
    const names = this.#pool.modelNames().slice(0, maxModels);
    for (const known of this.#models.keys()) if (!names.includes(known)) this.#models.delete(known);
    for (const name of names) {
      let model = this.#models.get(name);
      if (model === undefined)
        this.#models.set(name, (model = new ModelScarcity(this.#pool.name, name, now)));
      model.sample(this.#measure(name, now));
    }
  }

  #measure(model: string, now: number): ScarcitySample {
    const { waiting: inLine, oldestMs } = this.#pool.lineFor(model);
    const seen = { replicas: 0, weights: 0, saturation: 0, inUse: 0, waiting: inLine, answered: 0 };
    const room = { full: 0, fullCount: 0, guessed: 0, guessedCount: 0 };
    for (const server of this.#pool.serversFor(model)) {
      seen.answered += server.answered;
      if (!canBeAsked(server.state)) continue;
      const fullness = this.#pool.fullnessOf?.(server) ?? fullnessOf(server);
      const weight = Number.isFinite(server.capacity) ? server.capacity : 1;
      seen.replicas++;
      seen.weights += weight;
      seen.saturation += weight * fullness;
      seen.inUse += Math.min(fullness, 1);
      seen.waiting += Number.isNaN(server.signals.waiting) ? 0 : server.signals.waiting;
      const running = runningAt(server);
      if (fullness >= nearlyFull) {
        room.full += running;
        room.fullCount++;
      } else if (fullness >= barelyUsed && running > 0) {
        room.guessed += running / fullness;
        room.guessedCount++;
      }
    }
    const { replicas, inUse, waiting, answered } = seen;
    const saturation = replicas === 0 ? 0 : seen.saturation / seen.weights;
    return { now, saturation, replicas, inUse, waiting, roomOfOne: roomOf(room), answered, oldestMs };
  }
}

/** Full servers show how much one takes on; where none is, it is taken to grow with the load. 0: nobody knows. */
function roomOf(room: Record<"full" | "fullCount" | "guessed" | "guessedCount", number>): number {
  if (room.fullCount > 0 && room.full > 0) return room.full / room.fullCount;
  return room.guessedCount > 0 ? room.guessed / room.guessedCount : 0;
}

/** Requests that a server works on, as it tells, else as this gateway knows. */
function runningAt({ signals, load }: SchedulableEndpoint): number {
  return Number.isNaN(signals.running) ? load.requests : signals.running;
}

/** Servers that ask for a moment count: they are there, and full. */
function canBeAsked(state: HttpEndpointState): boolean {
  return state === "ready" || state === "busy";
}
