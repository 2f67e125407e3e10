/** Reads a cycle that the decision log has kept as numbers. */
import type { ExplainedCycle, ExplainedEndpoint, ExplainedProfile } from "../contracts/explanation.ts";

/** Steps of a cycle among its numbers: the kind, and the index of a name. A scorer's weight and lists with their lengths follow. */
export const step = { profile: -1, filtered: -2, scored: -3, picked: -4, end: -5 } as const;

/** Numbers of each endpoint at the begin of a cycle: waiting, running, KV cache, requests under way. */
export const factsPerEndpoint = 4;

/** What the numbers stand for. */
interface KeptCycle {
  readonly model: string;
  readonly at: number;
  readonly pool: string;
  readonly names: readonly string[];
  readonly endpoints: readonly string[];
}

/** The cycle whose numbers begin at a place of the arena. */
export function explainCycle(kept: KeptCycle, arena: Float32Array, from: number): ExplainedCycle {
  const reader = new CycleReader(kept, arena, from);
  const profiles = reader.profiles();
  const { pool, model, at } = kept;
  return { pool, model, at, profiles, chosen: reader.chosen() };
}

class CycleReader {
  readonly #kept: KeptCycle;
  readonly #arena: Float32Array;
  readonly #facts: number;
  #at: number;

  constructor(kept: KeptCycle, arena: Float32Array, from: number) {
    this.#kept = kept;
    this.#arena = arena;
    this.#facts = from + 1;
    this.#at = from + 1 + (arena[from] ?? 0) * factsPerEndpoint;
  }

  profiles(): ExplainedProfile[] {
    const found: ExplainedProfile[] = [];
    while (this.#peek() === step.profile) {
      this.#at++;
      found.push(this.#profile(this.#name()));
    }
    return found;
  }

  chosen(): string[] {
    if (this.#next() !== step.end) return [];
    return this.#numbers().map((position) => this.#kept.endpoints[position] ?? "");
  }

  #profile(profile: string): ExplainedProfile {
    const { endpoints } = this.#kept;
    let left = endpoints.map((_, position) => position);
    const filteredBy = new Map<number, string>();
    const scores = new Map<number, Record<string, number>>();
    const scorers: { readonly name: string; readonly weight: number }[] = [];
    let totals: number[] = [];
    let picked: number[] = [];
    for (let kind = this.#peek(); kind !== step.profile && kind !== step.end; kind = this.#peek()) {
      this.#at++;
      const name = this.#name();
      const weight = kind === step.scored ? this.#next() : 0;
      const numbers = this.#numbers();
      if (kind === step.filtered) {
        const stay = new Set(numbers);
        for (const position of left) if (!stay.has(position)) filteredBy.set(position, name);
        left = numbers;
      } else if (kind === step.scored) {
        scorers.push({ name, weight });
        for (const [i, score] of numbers.entries()) {
          const position = left[i] ?? -1;
          scores.set(position, { ...scores.get(position), [name]: round(score) });
        }
      } else {
        totals = numbers;
        picked = this.#numbers();
      }
    }
    const totalOf = (position: number): number | undefined => {
      const index = left.indexOf(position);
      return index < 0 || index >= totals.length ? undefined : totals[index];
    };
    const told = endpoints.map((endpoint, position): ExplainedEndpoint => {
      const total = totalOf(position);
      return {
        endpoint,
        ...this.#factsOf(position),
        filteredBy: filteredBy.get(position),
        scores: scores.get(position) ?? {},
        total: total === undefined ? undefined : round(total),
      };
    });
    return {
      profile,
      scorers,
      endpoints: told.sort((a, b) => (b.total ?? -Infinity) - (a.total ?? -Infinity) || 0),
      picked: picked.map((position) => endpoints[position] ?? ""),
      margin: marginOf(picked[0], left, totals),
    };
  }

  #factsOf(position: number): Pick<ExplainedEndpoint, "waiting" | "running" | "kvUsage" | "underWay"> {
    const at = this.#facts + position * factsPerEndpoint;
    const fact = (index: number): number | undefined => {
      const value = this.#arena[at + index] ?? Number.NaN;
      return Number.isNaN(value) ? undefined : round(value);
    };
    return { waiting: fact(0), running: fact(1), kvUsage: fact(2), underWay: fact(3) ?? 0 };
  }

  #peek(): number {
    return this.#arena[this.#at] ?? step.end;
  }

  #next(): number {
    return this.#arena[this.#at++] ?? step.end;
  }

  #name(): string {
    return this.#kept.names[this.#next()] ?? "";
  }

  /** A list behind its length. */
  #numbers(): number[] {
    const length = this.#next();
    const numbers = [...this.#arena.subarray(this.#at, this.#at + length)];
    this.#at += length;
    return numbers;
  }
}

function marginOf(
  picked: number | undefined,
  left: readonly number[],
  totals: readonly number[],
): number | undefined {
  if (picked === undefined || totals.length < 2) return undefined;
  const own = totals[left.indexOf(picked)] ?? 0;
  const others = totals.filter((_, index) => left[index] !== picked);
  return round(own - Math.max(...others));
}

/** Numbers were kept with seven digits. */
function round(value: number): number {
  return Number(value.toPrecision(6));
}
