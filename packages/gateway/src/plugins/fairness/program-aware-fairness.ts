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

/** What a flow has had, whether it waits or not. */
interface Program {
  readonly id: string;
  /** Tokens, each as many times doubled as half-lives had passed since the epoch: comparable at any time without fading them. */
  service: number;
  heardAt: number;
  meanWaitMs: number;
}

/** The policy. Work is charged as predicted when it is sent, and made good when it has ended. */
export class LeastService implements FairnessPolicy {
  readonly #options: LeastServiceOptions;
  readonly #halfLifeMs: number;
  /** The one unheard of for longest first. */
  readonly #programs = new Map<string, Program>();
  /** Since when half-lives are counted. */
  #epoch: number;
  #sweptAt: number;
  /** How long the heads of the flows wait, by their places; -1: none may go. Used again each time. */
  #waits = new Float64Array(64);

  constructor(options: LeastServiceOptions, clock: Clock, metrics: Metrics) {
    this.#options = options;
    this.#halfLifeMs = options.lasHalfLifeSeconds * 1_000;
    this.#epoch = clock.now();
    this.#sweptAt = this.#epoch;
    this.#publish(metrics, clock);
  }

  next(flows: FlowSet, now: number): Flow | undefined {
    const { size } = flows;
    if (this.#waits.length < size) this.#waits = new Float64Array(2 * size);
    const waits = this.#waits;
    let mostService = 0;
    let longestWait = 0;
    for (let index = 0; index < size; index++) {
      const flow = flows.at(index);
      const head = flow.head();
      const wait = head === undefined ? -1 : now - head.enqueuedAt;
      waits[index] = wait;
      if (wait < 0) continue;
      mostService = Math.max(mostService, serviceOf(flow));
      longestWait = Math.max(longestWait, wait);
    }
    return this.#best(flows, mostService || 1, longestWait || 1);
  }

  joined(flow: Flow): void {
    flow.state = this.#programs.get(flow.fairnessId);
  }

  dispatched(flow: Flow, item: WaitingItem, now: number): void {
    const program = this.#heardOf(flow.fairnessId, now);
    flow.state = program;
    program.service += item.predictedTokens * this.#worth(now);
    program.meanWaitMs += (now - item.enqueuedAt - program.meanWaitMs) * waitShare;
  }

  settled(used: SettledWork, flow: Flow | undefined, now: number): void {
    const program = this.#heardOf(used.fairnessId, now);
    if (flow !== undefined) flow.state = program;
    const had = used.promptTokens - used.cachedTokens + 2 * used.completionTokens;
    const correction = had - (used.waited ? used.predictedTokens : 0);
    program.service = Math.max(0, program.service + correction * this.#worth(now));
    if (now - this.#sweptAt > this.#options.evictionSweepSeconds * 1_000) this.#sweep(now);
  }

  /** Of those with a wait that is not negative. */
  #best(flows: FlowSet, mostService: number, longestWait: number): Flow | undefined {
    const { lasWeightService, lasWeightHeadWait } = this.#options;
    const perWait = lasWeightHeadWait / longestWait;
    const perToken = lasWeightService / mostService;
    let best: Flow | undefined;
    let bestScore = -Infinity;
    for (let index = 0; index < flows.size; index++) {
      const wait = this.#waits[index] ?? -1;
      if (wait < 0) continue;
      const flow = flows.at(index);
      const score = perWait * wait - perToken * serviceOf(flow);
      if (score <= bestScore) continue;
      best = flow;
      bestScore = score;
    }
    return best;
  }

  /** What a token of now counts. */
  #worth(now: number): number {
    const halfLives = (now - this.#epoch) / this.#halfLifeMs;
    if (halfLives <= maxHalfLives) return 2 ** halfLives;
    for (const program of this.#programs.values()) program.service /= 2 ** halfLives;
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

function serviceOf({ state }: Flow): number {
  return state === undefined ? 0 : (state as Program).service;
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
  parameters: z.strictObject({
    strategy: z.enum(["las", "drr", "rr"]).default("las"),
    lasWeightService: weight.default(0.8),
    lasWeightHeadWait: weight.default(0.2),
    lasHalfLifeSeconds: seconds.default(60),
    evictionTtlSeconds: seconds.default(3_600),
    evictionSweepSeconds: seconds.default(300),
  }),
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
