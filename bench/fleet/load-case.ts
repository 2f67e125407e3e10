/** Loads of the simulated fleet: what is asked, how often. */
import type { EngineOptions } from "../../packages/simulator/src/engine/options.ts";
import { createRandom } from "../../packages/simulator/src/random.ts";
import type { Random } from "../../packages/simulator/src/random.ts";
import { readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";
import type { Ask } from "./fleet-request.ts";
import { PromptText, textOf } from "./prompt-text.ts";
import type { Simulation } from "./simulation.ts";

/** Bounds of a length in tokens, drawn log-uniformly. */
export type Length = readonly [least: number, most: number];

/** A case of `bench/workloads/fleet-loads.json`. */
export interface LoadCase {
  readonly name: string;
  /** Of all its requests; default 0. */
  readonly priority?: number;
  /** Highest rate, requests a second, at which round robin's queue wait p99 stays under a second. */
  readonly capacity: number;
  /** A rate beyond it at which good ways to route still hold, in multiples of it. */
  readonly high: number;
  /** System prompts, shared by all requests of a group; the k-th group is asked in proportion to k^-skew. */
  readonly prefix?: {
    readonly groups: number;
    readonly tokens: number;
    readonly skew: number;
    /** Each group is a LoRA adapter of its own. */
    readonly adapters?: boolean;
  };
  /** What each request adds: its question. */
  readonly prompt: Length;
  readonly output: Length;
  /** Turns of a conversation; each repeats all before it. */
  readonly turns?: readonly [least: number, most: number];
  /** Mean pause of a person before the next turn. */
  readonly thinkSeconds?: number;
  /** A share of the requests is longer. */
  readonly long?: { readonly share: number; readonly prompt: Length; readonly output: Length };
  /** For `seconds` of every `everySeconds` the rate is `factor` times that of the rest; the mean stays. */
  readonly bursts?: { readonly everySeconds: number; readonly seconds: number; readonly factor: number };
  /** The last `count` servers take `factor` times as long for everything and have `kvShare` of the memory. */
  readonly slowServers?: { readonly count: number; readonly factor: number; readonly kvShare: number };
}

/** A load without a capacity of its own. */
export type PartialLoad = Omit<LoadCase, "capacity" | "high">;

/** `bench/workloads/fleet-loads.json`. */
export interface LoadsWorkload extends Workload {
  readonly seeds: readonly number[];
  readonly cases: readonly LoadCase[];
}

/** Reads the cases. */
export async function readLoads(): Promise<LoadsWorkload> {
  return (await readWorkload("fleet-loads")) as LoadsWorkload;
}

/** The case of a name. */
export function caseOf(workload: LoadsWorkload, name: string): LoadCase {
  const found = workload.cases.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no load ${name}`);
  return found;
}

/** The servers of a case. */
export function enginesOf(load: LoadCase, base: EngineOptions, servers: number): EngineOptions[] {
  const slow = load.slowServers;
  return Array.from({ length: servers }, (_, index) => {
    if (slow === undefined || index < servers - slow.count) return base;
    return {
      ...base,
      kvBlocks: Math.floor(base.kvBlocks * slow.kvShare),
      stepMs: base.stepMs * slow.factor,
      prefillMsPerToken: base.prefillMsPerToken * slow.factor,
      decodeMsPerSequence: base.decodeMsPerSequence * slow.factor,
      contextMsPerThousandTokens: base.contextMsPerThousandTokens * slow.factor,
    };
  });
}

/** Draws what is asked: seeded, so that every router gets the same requests. */
export class AskSource {
  readonly #load: PartialLoad;
  readonly #random: Random;
  readonly #systems: Uint32Array[] = [];
  /** Cumulated shares of the groups. */
  readonly #shares: number[] = [];
  #texts = 0;

  constructor(load: PartialLoad, seed: number) {
    this.#load = load;
    this.#random = createRandom(seed);
    let sum = 0;
    for (let group = 0; group < (load.prefix?.groups ?? 0); group++) {
      this.#systems.push(textOf(group, load.prefix?.tokens ?? 0));
      sum += (group + 1) ** -(load.prefix?.skew ?? 0);
      this.#shares.push(sum);
    }
  }

  /** The next request of a new caller. */
  next(): Ask {
    const { load, group } = { load: this.#load, group: this.#group() };
    const long = load.long !== undefined && this.#random.unit() < load.long.share ? load.long : undefined;
    const question = this.#text(long?.prompt ?? load.prompt);
    const system = this.#systems[group];
    const text =
      system === undefined
        ? new PromptText([question])
        : new PromptText([system, question], system.length, group);
    const adapter = load.prefix?.adapters === true ? `adapter-${group}` : undefined;
    return {
      text,
      outputTokens: this.#length(long?.output ?? load.output),
      maxOutputTokens: 4 * (long?.output ?? load.output)[1],
      tenant: load.name,
      priority: load.priority ?? 0,
      ...(adapter !== undefined && { adapter }),
    };
  }

  /** A question that goes on from an answer. */
  following(before: Ask, answer: Uint32Array): Ask {
    const parts = [...before.text.parts, answer, this.#text(this.#load.prompt)];
    const shared = before.text.tokens + answer.length;
    return {
      ...before,
      text: new PromptText(parts, shared, before.text.group),
      outputTokens: this.#length(this.#load.output),
    };
  }

  /** Turns of one conversation. */
  turns(): number {
    const [least, most] = this.#load.turns ?? [1, 1];
    return least + Math.floor(this.#random.unit() * (most - least + 1));
  }

  /** Pause before the next turn, ms. */
  pauseMs(): number {
    return -Math.log(1 - this.#random.unit()) * (this.#load.thinkSeconds ?? 0) * 1000;
  }

  #group(): number {
    const at = this.#random.unit() * (this.#shares.at(-1) ?? 0);
    return this.#shares.findIndex((share) => at < share);
  }

  #text(length: Length): Uint32Array {
    this.#texts += 1;
    return textOf(0x40000000 + this.#texts, this.#length(length));
  }

  #length([least, most]: Length): number {
    return Math.round(least * (most / least) ** this.#random.unit());
  }
}

/** Sends requests at a rate (turns of conversations included) from now until `untilMs` of the clock. */
export function startLoad(
  simulation: Simulation,
  load: PartialLoad,
  { ratePerSecond, untilMs, seed }: { ratePerSecond: number; untilMs: number; seed: number },
): void {
  const source = new AskSource(load, seed);
  const random = createRandom(seed + 1);
  const { clock } = simulation;
  const [least, most] = load.turns ?? [1, 1];
  const begins = ratePerSecond / ((least + most) / 2);
  const say = (ask: Ask, turnsLeft: number): void => {
    const goOn = (answer: Uint32Array): void => {
      if (turnsLeft <= 1 || clock.now() >= untilMs) return;
      const next = source.following(ask, answer);
      clock.after(source.pauseMs(), () => say(next, turnsLeft - 1));
    };
    simulation.ask(turnsLeft > 1 ? { ...ask, onEnd: goOn } : ask);
  };
  const schedule = (): void => {
    const rate = begins * burstFactor(load, clock.now());
    clock.after((-Math.log(1 - random.unit()) * 1000) / rate, () => {
      if (clock.now() >= untilMs) return;
      schedule();
      say(source.next(), source.turns());
    });
  };
  schedule();
}

/** The rate at an instant, as a factor of the mean. */
function burstFactor({ bursts }: PartialLoad, now: number): number {
  if (bursts === undefined) return 1;
  const { everySeconds, seconds, factor } = bursts;
  const low = everySeconds / (everySeconds + seconds * (factor - 1));
  return (now / 1000) % everySeconds < seconds ? low * factor : low;
}
