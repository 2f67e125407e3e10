/**
 * The last scheduling cycles, in memory that is set aside once: each is written as numbers into one arena, and made
 * readable only when somebody asks for it. A cycle takes as much of the arena as it has endpoints and scorers.
 */
import type { ExplainedCycle, Explanations } from "../contracts/explanation.ts";
import type {
  Candidates,
  CycleTracer,
  SchedulableEndpoint,
  ScheduledRequest,
} from "../contracts/plugins/scheduling.ts";
import type { Clock } from "../core/clock.ts";
import { explainCycle, factsPerEndpoint, step } from "./explain-cycle.ts";

/** Cycles kept at most, and numbers that they take together at most: about 1.2 MB. */
const defaultLogBounds = { cycles: 4_096, numbers: 262_144 } as const;

/** Bounds of a log. */
export interface DecisionLogOptions {
  readonly clock: Pick<Clock, "wallNow">;
  readonly cycles?: number;
  readonly numbers?: number;
}

/** Picks of one profile that are kept. */
const maxPicked = 8;

/** What stands for a cycle beside its numbers. */
interface Entry {
  id: string;
  model: string;
  at: number;
  pool: string;
  names: readonly string[];
  endpoints: readonly string[];
  /** Where its numbers begin, counted from the first number ever written. */
  from: number;
}

/** A log for all pools of the process. */
export class DecisionLog implements Explanations {
  readonly #clock: Pick<Clock, "wallNow">;
  readonly #arena: Float32Array;
  readonly #entries: Entry[];
  #next = 0;
  /** Numbers written, or left out at the arena's end, since the start. */
  #written = 0;

  constructor({ clock, cycles = defaultLogBounds.cycles, numbers }: DecisionLogOptions) {
    this.#clock = clock;
    this.#arena = new Float32Array(numbers ?? defaultLogBounds.numbers);
    const blank = { id: "", model: "", at: 0, pool: "", names: [], endpoints: [] };
    this.#entries = Array.from({ length: cycles }, () => ({ ...blank, from: Number.NEGATIVE_INFINITY }));
  }

  /** Writes the cycles of one pool. */
  tracer(pool: string): CycleTracer {
    return new CycleWriter(pool, this);
  }

  cyclesOf(id: string): readonly ExplainedCycle[] {
    if (id === "") return [];
    const found: ExplainedCycle[] = [];
    const { length } = this.#entries;
    for (let back = length; back >= 1; back--) {
      const entry = this.#entries[(this.#next - back + length) % length];
      if (entry?.id !== id || !this.#isWhole(entry)) continue;
      found.push(explainCycle(entry, this.#arena, entry.from % this.#arena.length));
    }
    return found;
  }

  /**
   * Sets numbers aside for a cycle: their place in the arena; -1 where it is larger than a quarter of it, and not kept.
   * Only the cycle that was begun last may be written.
   */
  begin(pool: string, request: ScheduledRequest, writer: CycleNames, most: number): number {
    const size = this.#arena.length;
    if (most * 4 > size) return -1;
    const at = this.#written % size;
    if (at + most > size) this.#written += size - at;
    const entry = this.#entries[this.#next];
    if (entry === undefined) return -1;
    this.#next = this.#next + 1 === this.#entries.length ? 0 : this.#next + 1;
    entry.id = request.id;
    entry.model = request.model;
    entry.at = this.#clock.wallNow();
    entry.pool = pool;
    entry.names = writer.names;
    entry.endpoints = writer.endpoints;
    entry.from = this.#written;
    return this.#written % size;
  }

  get arena(): Float32Array {
    return this.#arena;
  }

  /** The cycle took so many numbers. */
  took(count: number): void {
    this.#written += count;
  }

  #isWhole({ from }: Entry): boolean {
    return this.#written - from <= this.#arena.length;
  }
}

/** Names that a writer's numbers stand for. */
interface CycleNames {
  readonly names: readonly string[];
  readonly endpoints: readonly string[];
}

/** Writes cycles of one pool, one after the other. */
class CycleWriter implements CycleTracer, CycleNames {
  readonly names: string[] = [];
  endpoints: readonly string[] = [];
  readonly #pool: string;
  readonly #log: DecisionLog;
  readonly #arena: Float32Array;
  readonly #indices = new Map<string, number>();
  /** What `endpoints` was made of. */
  #known: readonly SchedulableEndpoint[] = [];
  /** Steps of the longest cycle so far. */
  #steps = 8;
  #stepsNow = 0;
  /** The rest of the cycle is left out. */
  #isCut = false;
  #from = -1;
  #at = 0;
  #end = 0;

  constructor(pool: string, log: DecisionLog) {
    this.#pool = pool;
    this.#log = log;
    this.#arena = log.arena;
  }

  begin(request: ScheduledRequest, { endpoints }: Candidates): void {
    this.#name(endpoints);
    const { length } = endpoints;
    this.#stepsNow = 0;
    this.#isCut = false;
    const most = 2 + length * factsPerEndpoint + this.#steps * (length + maxPicked + 4) + maxPicked;
    this.#from = this.#log.begin(this.#pool, request, this, most);
    if (this.#from < 0) return;
    const arena = this.#arena;
    let at = this.#from;
    this.#end = at + most;
    arena[at++] = length;
    for (let i = 0; i < length; i++) {
      const endpoint = endpoints[i];
      if (endpoint === undefined) continue;
      const { signals, load } = endpoint;
      arena[at++] = signals.waiting;
      arena[at++] = signals.running;
      arena[at++] = signals.kvUsage;
      arena[at++] = load.requests;
    }
    this.#at = at;
  }

  profile(name: string): void {
    this.#open(step.profile, name, 0);
  }

  filtered(plugin: string, { positions, count }: Candidates): void {
    if (!this.#open(step.filtered, plugin, count)) return;
    const arena = this.#arena;
    let at = this.#at;
    arena[at++] = count;
    for (let i = 0; i < count; i++) arena[at++] = positions[i] ?? 0;
    this.#at = at;
  }

  scored(plugin: string, weight: number, { count }: Candidates, scores: Float64Array): void {
    if (!this.#open(step.scored, plugin, count)) return;
    const arena = this.#arena;
    let at = this.#at;
    arena[at++] = weight;
    arena[at++] = count;
    for (let i = 0; i < count; i++) arena[at++] = scores[i] ?? 0;
    this.#at = at;
  }

  picked({ count }: Candidates, totals: Float64Array, picked: Int32Array, picks: number): void {
    if (!this.#open(step.picked, "", count + maxPicked)) return;
    const arena = this.#arena;
    let at = this.#at;
    arena[at++] = count;
    for (let i = 0; i < count; i++) arena[at++] = totals[i] ?? 0;
    const kept = Math.min(picks, maxPicked);
    arena[at++] = kept;
    for (let i = 0; i < kept; i++) arena[at++] = picked[i] ?? 0;
    this.#at = at;
  }

  end(_request: ScheduledRequest, chosen: readonly SchedulableEndpoint[]): void {
    if (this.#stepsNow > this.#steps) this.#steps = this.#stepsNow;
    if (this.#from < 0) return;
    const arena = this.#arena;
    let at = this.#at;
    arena[at++] = step.end;
    const kept = Math.min(chosen.length, maxPicked);
    arena[at++] = kept;
    for (let i = 0; i < kept; i++) {
      const endpoint = chosen[i];
      arena[at++] = endpoint === undefined ? -1 : this.#known.indexOf(endpoint);
    }
    this.#log.took(at - this.#from);
  }

  /** False where the cycle is not kept, or has more steps than any before: then it is cut short, and the next has room. */
  #open(kind: number, name: string, numbers: number): boolean {
    this.#stepsNow++;
    if (this.#from < 0 || this.#isCut) return false;
    if (this.#at + numbers + 4 + maxPicked + 2 > this.#end) {
      this.#isCut = true;
      return false;
    }
    this.#arena[this.#at++] = kind;
    this.#arena[this.#at++] = this.#indexOf(name);
    return true;
  }

  #indexOf(name: string): number {
    const known = this.#indices.get(name);
    if (known !== undefined) return known;
    const index = this.names.length;
    this.#indices.set(name, index);
    this.names.push(name);
    return index;
  }

  /** Ids rather than endpoints are kept: an endpoint that is gone is not held on to. */
  #name(endpoints: readonly SchedulableEndpoint[]): void {
    const known = this.#known;
    let same = known.length === endpoints.length;
    for (let i = 0; same && i < endpoints.length; i++) same = known[i] === endpoints[i];
    if (same) return;
    this.#known = endpoints.slice();
    this.endpoints = endpoints.map(({ id }) => id);
  }
}
