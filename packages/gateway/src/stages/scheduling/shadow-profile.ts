/** One shadow in its thread: a scheduling layer of its own, and copies of endpoints and requests that are its own too. */
import type { ExplainedCycle } from "../../contracts/explanation.ts";
import type { InflightTokens } from "../../contracts/plugins/data-keys.ts";
import type {
  Candidates,
  CycleTracer,
  SchedulableEndpoint,
  ScheduledRequest,
  ServedEnd,
} from "../../contracts/plugins/scheduling.ts";
import type { WiredScheduling } from "../../contracts/plugins/wired-scheduling.ts";
import type { ShadowDisagreement } from "../../contracts/shadows.ts";
import { isFailure } from "../../core/errors.ts";
import { ProfileEngine } from "./profile-engine.ts";
import type { ShadowTally } from "./shadow-messages.ts";
import { MirrorEndpoint, mirrorRequest, type ToldRequest } from "./shadow-mirror.ts";

/** Requests that a shadow knows of at most; the eldest are forgotten. */
const mostRequests = 50_000;
/** Disagreements that are explained in one frame. */
const mostExplained = 4;

/** Keeps a shadow's cycles so that they can be explained. */
export interface CycleMemory {
  readonly tracer: CycleTracer;
  cyclesOf(id: string): readonly ExplainedCycle[];
}

interface Known {
  readonly request: ScheduledRequest;
  /** Attempts under way. */
  attempts: number;
}

/** Totals of the last profile of a cycle. */
class LastTotals implements CycleTracer {
  readonly #inner: CycleTracer;
  #positions = new Int32Array(16);
  #totals = new Float64Array(16);
  #count = 0;

  constructor(inner: CycleTracer) {
    this.#inner = inner;
  }

  begin(request: ScheduledRequest, candidates: Candidates): void {
    this.#count = 0;
    this.#inner.begin(request, candidates);
  }

  profile(name: string): void {
    this.#inner.profile(name);
  }

  filtered(plugin: string, candidates: Candidates): void {
    this.#inner.filtered(plugin, candidates);
  }

  scored(plugin: string, weight: number, candidates: Candidates, scores: Float64Array): void {
    this.#inner.scored(plugin, weight, candidates, scores);
  }

  picked(candidates: Candidates, totals: Float64Array, picked: Int32Array, count: number): void {
    this.#inner.picked(candidates, totals, picked, count);
    this.#count = candidates.count;
    if (this.#totals.length < this.#count) {
      this.#positions = new Int32Array(2 * this.#count);
      this.#totals = new Float64Array(2 * this.#count);
    }
    this.#positions.set(candidates.positions.subarray(0, this.#count));
    this.#totals.set(totals.subarray(0, this.#count));
  }

  end(request: ScheduledRequest, endpoints: readonly SchedulableEndpoint[]): void {
    this.#inner.end(request, endpoints);
  }

  /** Undefined where a filter took the endpoint out. */
  at(position: number): number | undefined {
    const index = this.#positions.subarray(0, this.#count).indexOf(position);
    return index < 0 ? undefined : this.#totals[index];
  }
}

/** What has been found since the last tally. */
function emptyTally(shadow: string) {
  return {
    shadow,
    agree: 0,
    disagree: 0,
    error: 0,
    aheadLive: 0,
    aheadShadow: 0,
    busyMs: 0,
    margins: [] as number[],
    disagreements: [] as string[],
    lastError: "",
  };
}

/** Runs one shadow. Called with everything the live side tells, in its order. */
export class ShadowProfile {
  readonly name: string;
  readonly #wired: WiredScheduling;
  readonly #engine: ProfileEngine;
  readonly #memory: CycleMemory;
  readonly #totals: LastTotals;
  readonly #endpoints: (MirrorEndpoint | undefined)[] = [];
  readonly #requests = new Map<number, Known>();
  #tally: ReturnType<typeof emptyTally>;
  #faults = 0;

  constructor(name: string, wired: WiredScheduling, memory: CycleMemory) {
    this.name = name;
    this.#wired = wired;
    this.#memory = memory;
    this.#totals = new LastTotals(memory.tracer);
    this.#tally = emptyTally(name);
    this.#engine = new ProfileEngine(wired, {
      tracer: this.#totals,
      onFault: (plugin, error) => this.#fault(plugin, error),
    });
  }

  /**
   * Whether it reads prompts that nothing live has read for it: `twins` are names of live producers that hand on what they
   * find.
   */
  readsPrompts(twins: readonly string[]): boolean {
    const { readsPrompt, producers } = this.#wired;
    if (!readsPrompt) return false;
    const isTwin = ({ name }: { readonly name: string }): boolean => twins.includes(name);
    return (
      !producers.some(isTwin) || producers.some((each) => each.plugin.adopt !== undefined && !isTwin(each))
    );
  }

  /** Writes what is new of an endpoint into the shadow's copy; a copy that its plugins have sealed is replaced. */
  update(slot: number, write: (endpoint: MirrorEndpoint) => void): void {
    const endpoint = this.#endpoints[slot];
    if (endpoint === undefined) return;
    try {
      write(endpoint);
    } catch {
      const fresh = new MirrorEndpoint(slot, endpoint.id, endpoint.address, endpoint.labels);
      write(fresh);
      this.#endpoints[slot] = fresh;
    }
  }

  place(endpoint: MirrorEndpoint): void {
    this.gone(endpoint.slot);
    this.#endpoints[endpoint.slot] = endpoint;
  }

  gone(slot: number): void {
    const endpoint = this.#endpoints[slot];
    if (endpoint === undefined) return;
    this.#endpoints[slot] = undefined;
    this.#tellAll((observer) => observer.forgotten?.(endpoint));
  }

  /** The live side chose the endpoint of slot `live` among those of `slots`; -1: it refused. */
  cycle(number: number, told: ToldRequest, slots: readonly number[], live: number): void {
    const endpoints: MirrorEndpoint[] = [];
    for (const slot of slots) {
      const endpoint = this.#endpoints[slot];
      if (endpoint !== undefined) endpoints.push(endpoint);
    }
    const request = this.#know(number, told).request;
    const faults = this.#faults;
    for (const { name, plugin } of this.#wired.producers) {
      const digest = told.digests.get(name);
      if (digest === undefined || digest.length === 0) continue;
      try {
        // Its own copy: a producer may keep it, or spoil it.
        plugin.adopt?.(request, digest.slice());
      } catch (error) {
        this.#fault(name, error);
      }
    }
    const result = this.#engine.run(request, endpoints);
    const chosen = isFailure(result) ? undefined : result.endpoints[0];
    const tally = this.#tally;
    if (this.#faults > faults) tally.error++;
    else if ((chosen?.slot ?? -1) === live) tally.agree++;
    else this.#disagree(told, endpoints, live, chosen);
    if (this.#faults === faults) this.#weigh(request, endpoints, live, chosen);
  }

  dispatched(number: number, slot: number): void {
    const known = this.#requests.get(number);
    const endpoint = this.#endpoints[slot];
    if (known === undefined || endpoint === undefined) return;
    known.attempts++;
    this.#tellAll((observer) => observer.dispatched?.(known.request, endpoint));
  }

  firstToken(number: number, slot: number): void {
    const known = this.#requests.get(number);
    const endpoint = this.#endpoints[slot];
    if (known === undefined || endpoint === undefined) return;
    this.#tellAll((observer) => observer.firstToken?.(known.request, endpoint));
  }

  ended(number: number, slot: number, end: ServedEnd): void {
    const known = this.#requests.get(number);
    if (known === undefined) return;
    known.attempts--;
    const endpoint = this.#endpoints[slot];
    const own = { ...end, usage: end.usage === undefined ? undefined : { ...end.usage } };
    if (endpoint !== undefined) this.#tellAll((observer) => observer.ended?.(known.request, endpoint, own));
    if (known.attempts <= 0) this.#requests.delete(number);
  }

  /** What was found since the last call. `busyMs` is the time that it took. */
  take(busyMs: number): ShadowTally {
    const tally = this.#tally;
    tally.busyMs = busyMs;
    this.#tally = emptyTally(this.name);
    return tally;
  }

  #know(number: number, told: ToldRequest): Known {
    const known = this.#requests.get(number);
    if (known !== undefined) return known;
    if (this.#requests.size >= mostRequests) {
      const [eldest] = this.#requests.keys();
      if (eldest !== undefined) this.#requests.delete(eldest);
    }
    const made = { request: mirrorRequest(told, this.#wired.dataSize), attempts: 0 };
    this.#requests.set(number, made);
    return made;
  }

  #disagree(
    told: ToldRequest,
    endpoints: readonly MirrorEndpoint[],
    live: number,
    chosen: SchedulableEndpoint | undefined,
  ): void {
    const tally = this.#tally;
    tally.disagree++;
    const liveAt = endpoints.findIndex(({ slot }) => slot === live);
    const own = chosen === undefined ? undefined : this.#totals.at(endpoints.findIndex((e) => e === chosen));
    const other = this.#totals.at(liveAt);
    const margin = own === undefined || other === undefined ? undefined : own - other;
    if (margin !== undefined) tally.margins.push(margin);
    if (tally.disagreements.length >= mostExplained) return;
    const found: ShadowDisagreement = {
      id: told.id,
      model: told.model,
      live: endpoints[liveAt]?.id,
      shadow: chosen?.id,
      margin,
      explanation: this.#memory.cyclesOf(told.id).at(-1),
    };
    tally.disagreements.push(JSON.stringify(found));
  }

  /** Adds up the work before the first token, at the live choice and at the shadow's. */
  #weigh(
    request: ScheduledRequest,
    endpoints: readonly MirrorEndpoint[],
    live: number,
    chosen: SchedulableEndpoint | undefined,
  ): void {
    if (chosen === undefined || live < 0) return;
    const liveAt = endpoints.findIndex(({ slot }) => slot === live);
    const shadowAt = endpoints.findIndex(({ slot }) => slot === chosen.slot);
    if (liveAt < 0 || shadowAt < 0) return;
    const { inflightIndex } = this.#wired;
    const tokens =
      inflightIndex < 0 ? undefined : (request.data[inflightIndex] as InflightTokens | undefined);
    const ahead = (position: number): number =>
      (endpoints[position]?.load.promptTokens ?? 0) + (tokens?.own[position] ?? request.promptTokens);
    this.#tally.aheadLive += ahead(liveAt);
    this.#tally.aheadShadow += ahead(shadowAt);
  }

  #tellAll(tell: (observer: WiredScheduling["observers"][number]["plugin"]) => void): void {
    for (const { name, plugin } of this.#wired.observers) {
      try {
        tell(plugin);
      } catch (error) {
        this.#fault(name, error);
      }
    }
  }

  #fault(plugin: string, error: unknown): void {
    this.#faults++;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#tally.lastError = `${plugin}: ${text.slice(0, 2_000)}`;
  }
}
