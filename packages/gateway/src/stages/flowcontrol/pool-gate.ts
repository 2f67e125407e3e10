/** Whether a pool may take more work of a priority now: saturation against ceilings; and what is under way. */
import type { FlowGate, FlowGrant, FlowHold } from "../../contracts/flow-gate.ts";
import type { Inspect, Snapshot } from "../../contracts/inspect.ts";
import type { SettledWork } from "../../contracts/plugins/flow.ts";
import type { SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import type { WiredFlow } from "../../contracts/plugins/wired-flow.ts";
import type { Scarcity } from "../../contracts/scarcity.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import type { Failure } from "../../core/errors.ts";
import type { ForwardPayload, TokenUsage } from "../../core/forward.ts";
import type { InferenceRequest } from "../../core/request.ts";
import { servingStages } from "../../core/serving-stages.ts";
import type { FlowMeters } from "./flow-metrics.ts";
import { sheddingRefusal } from "./flow-refusals.ts";
import type { PredictedWork } from "./predicted-work.ts";
import { Reclaimer, type Shortage } from "./reclaim.ts";
import { RunningRequest, type RunningOwner } from "./running-request.ts";

/** What the gate reads of a pool. */
export interface GatedPool {
  readonly endpoints: readonly SchedulableEndpoint[];
  candidatesFor(model: string): readonly SchedulableEndpoint[];
  readonly scarcity?: Scarcity | undefined;
}

/** What a gate needs. */
export interface PoolGateOptions {
  readonly flow: Pick<WiredFlow, "mode" | "saturation" | "usageLimit" | "eviction">;
  readonly clock: Clock;
  readonly work: PredictedWork;
  readonly meters: FlowMeters;
  /** Priorities of the line's bands, highest first. */
  readonly priorities: () => readonly number[];
  /** The priority of the band that a priority belongs to. */
  readonly bandOf: (priority: number) => number;
  /** What a request really used. */
  readonly onSettled: (used: SettledWork) => void;
}

/** What holds for a model's endpoints as long as nothing changes. Used again for the next change. */
interface Verdict {
  model: string;
  endpoints: readonly SchedulableEndpoint[];
  /** The same by what they compute of a request. */
  stages: readonly (readonly SchedulableEndpoint[])[];
  /** The stage that is fullest: its saturation is that of all. */
  fullest: readonly SchedulableEndpoint[];
  /** Count of changes when it was made. */
  madeAt: number;
  saturation: number;
  priorities: readonly number[];
  ceilings: Float64Array;
}

/** Verdicts that are kept; of more models they are made anew each time. */
const maxVerdicts = 64;

/** After this time a verdict is made anew even where nothing has been heard, ms. */
const verdictMs = 5;

/** The gate of one pool, for all its models. */
export class PoolGate implements FlowGate, RunningOwner, Inspect {
  readonly #options: PoolGateOptions;
  readonly #reclaimer: Reclaimer | undefined;
  #pool: GatedPool | undefined;
  #listener: () => void = () => {};
  readonly #verdicts: Verdict[] = [];
  #changes = 0;
  #decidedAt = -Infinity;
  #timer: Timer | undefined;
  #timerAt = Infinity;
  #underWay = 0;

  constructor(options: PoolGateOptions) {
    this.#options = options;
    const { eviction, saturation } = options.flow;
    if (eviction === undefined) return;
    this.#reclaimer = new Reclaimer({
      clock: options.clock,
      policy: eviction.plugin,
      settleMs: saturation.plugin.settleMs ?? 10,
      meters: options.meters,
      shortage: (model, priority) => this.#shortage(model, priority),
      onSettled: () => this.changed(),
    });
  }

  /** Requests that have their place. */
  get underWay(): number {
    return this.#underWay;
  }

  get waitsForEndpoints(): boolean {
    return this.#options.flow.mode === "wait";
  }

  /** The pool that is gated. Until then everything may go. */
  attach(pool: GatedPool): void {
    this.#pool = pool;
  }

  /** True while the pool has no endpoint. */
  get isEmpty(): boolean {
    return this.#pool !== undefined && this.#pool.endpoints.length === 0;
  }

  inspect(): Snapshot {
    const { underWay, saturation, staleEndpoints } = this;
    return {
      under_way: underWay,
      saturation: Number.isFinite(saturation) ? saturation : null,
      stale_endpoints: staleEndpoints,
    };
  }

  /** Of all the pool's servers together: of the fullest of their stages. */
  get saturation(): number {
    const { flow, clock } = this.#options;
    const stages = servingStages(this.#pool?.endpoints ?? []);
    return Math.max(...stages.map((stage) => flow.saturation.plugin.saturation(stage, clock.now())));
  }

  fullnessOf(endpoint: SchedulableEndpoint): number | undefined {
    const { flow, clock } = this.#options;
    const now = clock.now();
    const { plugin } = flow.saturation;
    return (plugin.stale?.([endpoint], now) ?? 0) > 0 ? undefined : plugin.endpointSaturation(endpoint, now);
  }

  /** Servers whose metrics say nothing. */
  get staleEndpoints(): number {
    const { endpoints = [] } = this.#pool ?? {};
    return this.#options.flow.saturation.plugin.stale?.(endpoints, this.#options.clock.now()) ?? 0;
  }

  refuse(model: string, { priority }: InferenceRequest<ForwardPayload>): Failure | undefined {
    if (this.#options.flow.mode === "wait" || priority >= 0) return undefined;
    const verdict = this.#verdictOf(model);
    if (verdict === undefined || verdict.saturation < 1) return undefined;
    this.#options.meters.passed("RejectedCapacity", priority);
    return sheddingRefusal();
  }

  mayDispatch(model: string, priority: number): boolean {
    if (this.#options.flow.mode === "shed") return true;
    const verdict = this.#verdictOf(model);
    if (verdict === undefined) return true;
    const { saturation } = verdict;
    const ceiling = this.#ceilingOf(verdict, priority);
    if (saturation < ceiling) return true;
    this.#watch(verdict.endpoints);
    if (priority >= 0) this.#reclaimer?.wanted(model, priority);
    return false;
  }

  granted(grant: FlowGrant): FlowHold {
    const { clock, work, meters } = this.#options;
    const { request, model, charged } = grant;
    const running = new RunningRequest(this, grant, {
      grantedAt: clock.now(),
      predictedTokens: charged ?? work.tokensOf(model, request.payload),
    });
    this.#underWay++;
    this.#reclaimer?.add(running);
    this.#changes++;
    if (charged === undefined) meters.passed("Dispatched", request.priority);
    return running;
  }

  ended(running: RunningRequest, usage: TokenUsage | undefined): void {
    this.#underWay--;
    this.#reclaimer?.remove(running);
    if (usage !== undefined) {
      const { work, onSettled } = this.#options;
      work.learn(running.model, usage);
      onSettled({
        fairnessId: running.traits.fairnessId,
        priority: running.priority,
        waited: running.waited,
        predictedTokens: running.predictedTokens,
        promptTokens: usage.promptTokens,
        cachedTokens: usage.cachedTokens,
        completionTokens: usage.completionTokens,
      });
    }
    this.changed();
  }

  changed(): void {
    this.#changes++;
    this.#listener();
  }

  onOpening(listener: () => void): void {
    this.#listener = listener;
  }

  /** Timers are stopped. Idempotent. */
  close(): void {
    this.#timer?.cancel();
    this.#reclaimer?.close();
  }

  #verdictOf(model: string): Verdict | undefined {
    const pool = this.#pool;
    if (pool === undefined) return undefined;
    const now = this.#options.clock.now();
    if (now - this.#decidedAt > verdictMs) {
      this.#decidedAt = now;
      this.#changes++;
    }
    const endpoints = pool.candidatesFor(model);
    const known = this.#verdicts.find((verdict) => verdict.model === model) ?? this.#newVerdict(model);
    if (known.madeAt !== this.#changes || known.endpoints !== endpoints) this.#decide(known, endpoints, now);
    return known;
  }

  #newVerdict(model: string): Verdict {
    const made = {
      model,
      endpoints: [],
      stages: [],
      fullest: [],
      madeAt: -1,
      saturation: 1,
      priorities: [],
      ceilings: new Float64Array(0),
    };
    if (this.#verdicts.length >= maxVerdicts) this.#verdicts.shift();
    this.#verdicts.push(made);
    return made;
  }

  #decide(verdict: Verdict, endpoints: readonly SchedulableEndpoint[], now: number): void {
    const { flow, priorities } = this.#options;
    if (verdict.endpoints !== endpoints || verdict.stages.length === 0) {
      verdict.endpoints = endpoints;
      verdict.stages = servingStages(endpoints);
    }
    verdict.madeAt = this.#changes;
    verdict.priorities = priorities();
    if (verdict.ceilings.length !== verdict.priorities.length) {
      verdict.ceilings = new Float64Array(verdict.priorities.length);
    }
    verdict.saturation = -Infinity;
    for (const stage of verdict.stages) {
      const saturation = flow.saturation.plugin.saturation(stage, now);
      if (saturation <= verdict.saturation) continue;
      verdict.saturation = saturation;
      verdict.fullest = stage;
    }
    const regime = this.#pool?.scarcity?.regimeOf(verdict.model) ?? "plenty";
    flow.usageLimit.plugin.ceilings(verdict.saturation, verdict.priorities, verdict.ceilings, regime);
  }

  /** A band that nobody has joined yet has the ceiling of the one above it, or 1. */
  #ceilingOf({ priorities, ceilings }: Verdict, priority: number): number {
    const band = this.#options.bandOf(priority);
    let ceiling = ceilings[0] ?? 1;
    for (let index = 0; index < priorities.length; index++) {
      if ((priorities[index] ?? -Infinity) < band) break;
      ceiling = ceilings[index] ?? 1;
    }
    return ceiling;
  }

  #shortage(model: string, priority: number): Shortage | undefined {
    const verdict = this.#verdictOf(model);
    if (verdict === undefined) return undefined;
    const { saturation, fullest: endpoints } = verdict;
    const ceiling = this.#ceilingOf(verdict, priority);
    return saturation < ceiling ? undefined : { priority, endpoints, saturation, ceiling };
  }

  /** Somebody waits: where nothing but time has to pass, it is looked again then. */
  #watch(endpoints: readonly SchedulableEndpoint[]): void {
    const { clock, flow } = this.#options;
    const now = clock.now();
    const at = flow.saturation.plugin.changesAt?.(endpoints, now) ?? Infinity;
    if (at >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = clock.after(Math.max(1, at - now), () => {
      this.#timerAt = Infinity;
      this.changed();
    });
  }
}
