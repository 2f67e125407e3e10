/**
 * Least attained service: of the flows that wait, the one that has had least of the servers of late goes next, and
 * one that waits long a little sooner.
 */
import * as z from "zod";
import type {
  FairnessPolicy,
  Flow,
  FlowSet,
  SettledWork,
  WaitingItem,
} from "../../contracts/plugins/flow.ts";
import type { MetricDefinition, Metrics, MetricValue } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import { definePlugin } from "../define-plugin.ts";
import { DeficitRoundRobin } from "./deficit-round-robin-fairness-policy.ts";
import { RoundRobin } from "./round-robin-fairness-policy.ts";

/** Series of the policy, named as Endpoint Pickers name them. */
export const programMetrics = {
  jain: {
    name: "llm_d_epp_program_aware_jains_fairness_index",
    help: "Jain's index over the attained service of the programs that are known: 1 is equal shares.",
    labels: [],
  },
  wait: {
    name: "llm_d_epp_program_aware_avg_wait_time_milliseconds",
    help: "Mean time in line of a program's requests, smoothed.",
    labels: ["program_id"],
  },
  service: {
    name: "llm_d_epp_program_aware_attained_service_tokens",
    help: "Tokens that a program has had of late: those of answers count double, all fade with the half-life.",
    labels: ["program_id"],
  },
} as const satisfies Record<string, MetricDefinition>;

/** What the policy can be told. */
export interface LeastServiceOptions {
  /** Weight of the service had, against that of the wait. */
  readonly lasWeightService: number;
  readonly lasWeightHeadWait: number;
  /** After this time a token counts half. */
  readonly lasHalfLifeSeconds: number;
  /** A program that nothing was heard of for so long is forgotten. */
  readonly evictionTtlSeconds: number;
  readonly evictionSweepSeconds: number;
}

/** Programs that are known at most; beyond it the one unheard of for longest is forgotten. */
const maxPrograms = 10_000;

/** Share of the newest wait in the mean. */
const waitShare = 0.1;

/** Half-lives after which all numbers are brought back to a size that can be added to. */
const maxHalfLives = 256;

/** The largest values among the flows that may go: what scores are relative to. */
interface Most {
  readonly mostService: number;
  readonly longestWait: number;
}

/** What a flow has had, whether it waits or not. */
interface Program {
  readonly id: string;
  /** Tokens, each as many times doubled as half-lives had passed since the epoch: comparable at any time without fading them. */
  service: number;
  heardAt: number;
  meanWaitMs: number;
}

/** The policy. Work is charged as predicted when it is sent, and made good when it has ended. */
class LeastService implements FairnessPolicy {
  readonly #options: LeastServiceOptions;
  readonly #halfLifeMs: number;
  /** The one unheard of for longest first. */
  readonly #programs = new Map<string, Program>();
  /** Since when half-lives are counted. */
  #epoch: number;
  #sweptAt: number;
  /** The flows that wait, and what their programs have had, by the flows' slots. */
  readonly #flows: (Flow | undefined)[] = [];
  #services = new Float64Array(64);

  constructor(options: LeastServiceOptions, clock: Clock, metrics: Metrics) {
    this.#options = options;
    this.#halfLifeMs = options.lasHalfLifeSeconds * 1_000;
    this.#epoch = clock.now();
    this.#sweptAt = this.#epoch;
    this.#publish(metrics, clock);
  }

  next({ headTimes }: FlowSet, now: number): Flow | undefined {
    const services = this.#services;
    const slots = this.#flows.length;
    let mostService = 0;
    let earliest = Infinity;
    for (let slot = 0; slot < slots; slot++) {
      const joinedAt = headTimes[slot] ?? NaN;
      if (Number.isNaN(joinedAt)) continue;
      if (joinedAt < earliest) earliest = joinedAt;
      const service = services[slot] ?? 0;
      if (service > mostService) mostService = service;
    }
    return this.#best(headTimes, now, { mostService: mostService || 1, longestWait: now - earliest || 1 });
  }

  joined(flow: Flow): void {
    this.#flows[flow.slot] = flow;
    this.#note(flow, this.#programs.get(flow.fairnessId));
  }

  left({ slot }: Flow): void {
    this.#flows[slot] = undefined;
    while (this.#flows.length > 0 && this.#flows.at(-1) === undefined) this.#flows.pop();
  }

  dispatched(flow: Flow, item: WaitingItem, now: number): void {
    const worth = this.#worth(now);
    const program = this.#heardOf(flow.fairnessId, now);
    program.service += item.predictedTokens * worth;
    program.meanWaitMs += (now - item.enqueuedAt - program.meanWaitMs) * waitShare;
    this.#note(flow, program);
  }

  settled(used: SettledWork, flow: Flow | undefined, now: number): void {
    const worth = this.#worth(now);
    const program = this.#heardOf(used.fairnessId, now);
    const had = used.promptTokens - used.cachedTokens + 2 * used.completionTokens;
    const correction = had - (used.waited ? used.predictedTokens : 0);
    program.service = Math.max(0, program.service + correction * worth);
    if (flow !== undefined) this.#note(flow, program);
    if (now - this.#sweptAt > this.#options.evictionSweepSeconds * 1_000) this.#sweep(now);
  }

  #best(headTimes: Float64Array, now: number, most: Most): Flow | undefined {
    const { lasWeightService, lasWeightHeadWait } = this.#options;
    const perWait = lasWeightHeadWait / most.longestWait;
    const perToken = lasWeightService / most.mostService;
    const services = this.#services;
    const slots = this.#flows.length;
    let best = -1;
    let bestScore = -Infinity;
    for (let slot = 0; slot < slots; slot++) {
      const score = perWait * (now - (headTimes[slot] ?? NaN)) - perToken * (services[slot] ?? 0);
      // NaN, of a flow that may not go, is never larger.
      if (score > bestScore) {
        best = slot;
        bestScore = score;
      }
    }
    return best < 0 ? undefined : this.#flows[best];
  }

  #note({ slot }: Flow, program: Program | undefined): void {
    if (slot >= this.#services.length) {
      const larger = new Float64Array(2 * slot);
      larger.set(this.#services);
      this.#services = larger;
    }
    this.#services[slot] = program?.service ?? 0;
  }

  /** What a token of now counts. */
  #worth(now: number): number {
    const halfLives = (now - this.#epoch) / this.#halfLifeMs;
    if (halfLives <= maxHalfLives) return 2 ** halfLives;
    for (const program of this.#programs.values()) program.service /= 2 ** halfLives;
    for (let slot = 0; slot < this.#flows.length; slot++) {
      this.#services[slot] = (this.#services[slot] ?? 0) / 2 ** halfLives;
    }
    this.#epoch = now;
    return 1;
  }

  #heardOf(id: string, now: number): Program {
    const program = this.#programs.get(id) ?? { id, service: 0, heardAt: now, meanWaitMs: 0 };
    program.heardAt = now;
    this.#programs.delete(id);
    this.#programs.set(id, program);
    if (this.#programs.size > maxPrograms) {
      for (const oldest of this.#programs.keys()) {
        this.#programs.delete(oldest);
        break;
      }
    }
    return program;
  }

  #sweep(now: number): void {
    this.#sweptAt = now;
    for (const [id, { heardAt }] of this.#programs) {
      if (now - heardAt <= this.#options.evictionTtlSeconds * 1_000) return;
      this.#programs.delete(id);
    }
  }

  #publish(metrics: Metrics, clock: Clock): void {
    const jain = metrics.gauge(programMetrics.jain).with();
    const waits = metrics.gauge(programMetrics.wait);
    const services = metrics.gauge(programMetrics.service);
    metrics.onCollect(() => {
      const worth = this.#worth(clock.now());
      const values = [...this.#programs.values()].map((program) => {
        const service = program.service / worth;
        setValue(waits.with(program.id), program.meanWaitMs);
        setValue(services.with(program.id), service);
        return service;
      });
      jain.value = jainIndex(values);
    });
  }
}

function setValue(child: MetricValue, value: number): void {
  child.value = value;
}

/** Jain's index: 1 where all values are equal, 1/n where one has everything. Without values, or where all are 0: 1. */
export function jainIndex(values: readonly number[]): number {
  let sum = 0;
  let squares = 0;
  for (const value of values) {
    sum += value;
    squares += value * value;
  }
  return squares === 0 ? 1 : (sum * sum) / (values.length * squares);
}

const weight = z.number().min(0).max(1);
const seconds = z.number().positive().max(1_000_000);

/** `program-aware-fairness` */
export const programAwareFairness = definePlugin({
  type: "program-aware-fairness",
  kinds: ["fairness"],
  summary:
    "The flow that has had least of the servers of late goes next (`las`), or turns by tokens (`drr`), or by requests (`rr`).",
  parameters: z.lazy(() =>
    z.strictObject({
      strategy: z.enum(["las", "drr", "rr"]).default("las"),
      lasWeightService: weight.default(0.8),
      lasWeightHeadWait: weight.default(0.2),
      lasHalfLifeSeconds: seconds.default(60),
      evictionTtlSeconds: seconds.default(3_600),
      evictionSweepSeconds: seconds.default(300),
    }),
  ),
  needsOf: ({ strategy }) => ({ body: strategy !== "rr" }),
  create({ strategy, ...options }, { clock, metrics }): FairnessPolicy {
    switch (strategy) {
      case "drr":
        return new DeficitRoundRobin({ quantum: 256, weights: {} });
      case "rr":
        return new RoundRobin();
      case "las":
        return new LeastService(options, clock, metrics);
    }
  },
});
