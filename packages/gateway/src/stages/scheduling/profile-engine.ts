/**
 * Runs a scheduling layer for one request after the other: producers, then the profiles that the handler names, each
 * filters, scorers and picker. All arrays are made once and grown when a pool does; a cycle allocates nothing for an
 * endpoint.
 *
 * A plugin that throws is told to `onFault` and left out: a filter leaves everybody, a scorer says 0.
 */
import type {
  Candidates,
  CycleTracer,
  ProfileResult,
  SchedulableEndpoint,
  ScheduledRequest,
} from "../../contracts/plugins/scheduling.ts";
import type { WiredProfile, WiredScheduling } from "../../contracts/plugins/wired-scheduling.ts";
import { failure, type Failure } from "../../core/errors.ts";

/** Rounds in which a handler may name further profiles. */
const maxRounds = 16;

/** The candidates of the cycle that runs. */
class Field implements Candidates {
  endpoints: readonly SchedulableEndpoint[] = [];
  positions = new Int32Array(16);
  count = 0;

  fill(endpoints: readonly SchedulableEndpoint[]): void {
    this.endpoints = endpoints;
    const { length } = endpoints;
    if (this.positions.length < length) this.positions = new Int32Array(2 * length);
    for (let i = 0; i < length; i++) this.positions[i] = i;
    this.count = length;
  }

  keep(count: number): void {
    this.count = Math.max(0, Math.min(count, this.count));
  }
}

/** What the engine needs beside the layer. */
export interface EngineOptions {
  /** Hears of plugins that throw. */
  readonly onFault: (plugin: string, error: unknown) => void;
  /** Hears of every cycle; undefined: nobody does. */
  readonly tracer?: CycleTracer | undefined;
}

/** The layer of one pool. */
export class ProfileEngine {
  readonly wired: WiredScheduling;
  readonly #options: EngineOptions;
  /** Undefined while nobody is to hear of a cycle. */
  #tracer: CycleTracer | undefined;
  readonly #names: readonly string[];
  readonly #profiles: ReadonlyMap<string, WiredProfile>;
  readonly #field = new Field();
  #results = new Map<string, ProfileResult>();
  #saved = new Int32Array(16);
  #picked = new Int32Array(16);
  #scores = new Float64Array(16);
  #totals = new Float64Array(16);

  constructor(wired: WiredScheduling, options: EngineOptions) {
    this.wired = wired;
    this.#options = options;
    this.#tracer = options.tracer;
    this.#names = wired.profiles.map(({ name }) => name);
    this.#profiles = new Map(wired.profiles.map((profile) => [profile.name, profile]));
  }

  /** What every profile of the last cycle chose. Belongs to the engine; valid until the next cycle. */
  get results(): ReadonlyMap<string, ProfileResult> {
    return this.#results;
  }

  /** Gives producers the time that a large request takes. Undefined: `run` may be called at once. */
  prepare(request: ScheduledRequest): Promise<void> | undefined {
    let waiting: Promise<void>[] | undefined;
    for (const { name, plugin } of this.wired.producers) {
      if (plugin.prepare === undefined) continue;
      try {
        const promise = plugin.prepare(request);
        if (promise !== undefined) {
          waiting ??= [];
          waiting.push(promise.catch((error: unknown) => this.#options.onFault(name, error)));
        }
      } catch (error) {
        this.#options.onFault(name, error);
      }
    }
    return waiting === undefined ? undefined : Promise.all(waiting).then(() => undefined);
  }

  /**
   * One cycle over endpoints that all may take the request: the primary profile's choice. A failure where filters leave
   * nobody (`saturated`) or the handler names a profile that there is not (`bad_request`).
   */
  run(request: ScheduledRequest, endpoints: readonly SchedulableEndpoint[]): ProfileResult | Failure {
    const tracer = this.#tracer;
    this.#grow(endpoints.length);
    // A map that is emptied keeps its old table pointing to the new one: those of all cycles would hang together, and live
    // through every collection of the young generation once the first has grown old.
    this.#results = new Map();
    this.#produce(request, endpoints);
    if (tracer !== undefined) {
      this.#field.fill(endpoints);
      tracer.begin(request, this.#field);
    }
    const result = this.#cycle(request, endpoints);
    tracer?.end(request, "code" in result ? [] : result.endpoints);
    return result;
  }

  /** The endpoint that `run` would choose, if it were asked; no tracer hears of it. Undefined where it would refuse. */
  preview(
    request: ScheduledRequest,
    endpoints: readonly SchedulableEndpoint[],
  ): SchedulableEndpoint | undefined {
    this.#tracer = undefined;
    const result = this.run(request, endpoints);
    this.#tracer = this.#options.tracer;
    return "code" in result ? undefined : result.endpoints[0];
  }

  #cycle(request: ScheduledRequest, endpoints: readonly SchedulableEndpoint[]): ProfileResult | Failure {
    const { plugin: handler, name: handlerName } = this.wired.handler;
    let refusal: Failure | undefined;
    try {
      for (let round = 0; round < maxRounds; round++) {
        const names = handler.next(request, this.#names, this.#results);
        if (names.length === 0) break;
        for (const name of names) {
          const profile = this.#profiles.get(name);
          if (profile === undefined) return unknownProfile(name);
          const result = this.#runProfile(profile, request, endpoints);
          if (result === undefined) refusal = noneLeft(name);
          else this.#results.set(name, result);
        }
        // A profile that found nobody would be named again and again.
        if (refusal !== undefined) return refusal;
      }
      return this.#results.get(handler.primary(this.#results)) ?? noneLeft(handlerName);
    } catch (error) {
      this.#options.onFault(handlerName, error);
      return failure("internal");
    }
  }

  #produce(request: ScheduledRequest, endpoints: readonly SchedulableEndpoint[]): void {
    const { producers } = this.wired;
    for (let i = 0; i < producers.length; i++) {
      const producer = producers[i];
      if (producer === undefined) continue;
      try {
        producer.plugin.produce(request, endpoints);
      } catch (error) {
        this.#options.onFault(producer.name, error);
      }
    }
  }

  #runProfile(
    profile: WiredProfile,
    request: ScheduledRequest,
    endpoints: readonly SchedulableEndpoint[],
  ): ProfileResult | undefined {
    const field = this.#field;
    const tracer = this.#tracer;
    field.fill(endpoints);
    tracer?.profile(profile.name);
    this.#filter(profile, request);
    if (field.count > 0) this.#score(profile, request);
    const count = field.count === 0 ? 0 : this.#pick(profile);
    tracer?.picked(field, this.#totals, this.#picked, count);
    if (count === 0) return undefined;
    const chosen: SchedulableEndpoint[] = [];
    for (let i = 0; i < count; i++) {
      const endpoint = endpoints[this.#picked[i] ?? -1];
      if (endpoint !== undefined) chosen.push(endpoint);
    }
    return chosen.length === 0 ? undefined : { profile: profile.name, endpoints: chosen };
  }

  #filter({ filters }: WiredProfile, request: ScheduledRequest): void {
    const field = this.#field;
    for (let i = 0; i < filters.length && field.count > 0; i++) {
      const filter = filters[i];
      if (filter === undefined) continue;
      const { count } = field;
      copy(field.positions, this.#saved, count);
      try {
        filter.plugin.filter(field, request);
      } catch (error) {
        copy(this.#saved, field.positions, count);
        field.count = count;
        this.#options.onFault(filter.name, error);
      }
      this.#tracer?.filtered(filter.name, field);
    }
  }

  #score({ scorers }: WiredProfile, request: ScheduledRequest): void {
    const tracer = this.#tracer;
    const field = this.#field;
    const { count } = field;
    const scores = this.#scores;
    const totals = this.#totals;
    totals.fill(0, 0, count);
    for (let s = 0; s < scorers.length; s++) {
      const scorer = scorers[s];
      if (scorer === undefined) continue;
      try {
        scorer.plugin.score(field, request, scores);
      } catch (error) {
        scores.fill(0, 0, count);
        this.#options.onFault(scorer.name, error);
      }
      const { weight } = scorer;
      for (let i = 0; i < count; i++) {
        const score = scores[i] ?? 0;
        const clamped = score > 1 ? 1 : score > 0 ? score : 0;
        scores[i] = clamped;
        totals[i] = (totals[i] ?? 0) + clamped * weight;
      }
      tracer?.scored(scorer.name, weight, field, scores);
    }
  }

  #pick({ picker }: WiredProfile): number {
    const field = this.#field;
    try {
      const count = picker.plugin.pick(field, this.#totals, this.#picked);
      if (count > 0) return Math.min(count, field.count);
    } catch (error) {
      this.#options.onFault(picker.name, error);
    }
    this.#picked[0] = field.positions[0] ?? 0;
    return 1;
  }

  #grow(length: number): void {
    if (this.#scores.length >= length) return;
    this.#saved = new Int32Array(2 * length);
    this.#picked = new Int32Array(2 * length);
    this.#scores = new Float64Array(2 * length);
    this.#totals = new Float64Array(2 * length);
  }
}

/** For few numbers quicker than views of both. */
function copy(from: Int32Array, to: Int32Array, count: number): void {
  for (let i = 0; i < count; i++) to[i] = from[i] ?? 0;
}

function unknownProfile(name: string): Failure {
  return failure("bad_request", `There is no scheduling profile ${JSON.stringify(name)}`);
}

function noneLeft(profile: string): Failure {
  return failure("saturated", `No server is left for this request (profile ${profile})`, 1_000);
}
