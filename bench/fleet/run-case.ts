/** One run of a load before one router, and its numbers. */
import { parameterOf } from "../harness/workload.ts";
import { enginesOf, startLoad } from "./load-case.ts";
import type { LoadCase, LoadsWorkload } from "./load-case.ts";
import type { FleetRequest } from "./fleet-request.ts";
import type { RouterKind } from "./router.ts";
import type { ServerSettings } from "./settings.ts";
import { Simulation } from "./simulation.ts";
import { mean, quantile } from "./statistics.ts";

/** What a run is made from. */
export interface CaseOptions {
  readonly workload: LoadsWorkload;
  readonly settings: ServerSettings;
  readonly load: LoadCase;
  readonly router: RouterKind;
  readonly ratePerSecond: number;
  readonly seed: number;
  /** Share of the workload's times that is run, for quick looks; default 1. */
  readonly scale?: number;
}

/** What callers saw, of the requests that came after the warm-up. Milliseconds. */
export interface CaseResult {
  readonly requests: number;
  readonly ttftP50: number;
  readonly ttftP90: number;
  readonly ttftP99: number;
  readonly waitP99: number;
  readonly tpotP90: number;
  /** Mean time from arrival to the last token. */
  readonly latencyMean: number;
  /** Answers a second with the first token within a second and 50 ms a token at most. */
  readonly goodput: number;
  /** Tokens of answers a second, of steps within the time that counts. */
  readonly outputPerSecond: number;
  /** Prompt tokens a second beyond the shared prefixes, of requests whose first token came within the time that counts. */
  readonly ownPromptPerSecond: number;
  /** Share of prompt tokens that were cached. */
  readonly cachedShare: number;
  readonly preemptions: number;
}

/** Runs it. The load stops at the end of the time that counts; what is under way is finished. */
export function runCase(options: CaseOptions): CaseResult {
  const { workload, settings, load, router, ratePerSecond, seed, scale = 1 } = options;
  const from = parameterOf(workload, "warmUpSeconds") * 1000 * scale;
  const until = from + parameterOf(workload, "seconds") * 1000 * scale;
  const engines = enginesOf(load, settings.engine, parameterOf(workload, "servers"));
  const surroundings = {
    ...settings.surroundings,
    admissionMs: parameterOf(workload, "admissionMs"),
    deliveryMs: parameterOf(workload, "deliveryMs"),
  };
  const simulation = new Simulation({ engines, surroundings, router, seed });
  startLoad(simulation, load, { ratePerSecond, untilMs: until, seed });
  simulation.runUntil(from);
  const before = tokensOf(simulation);
  simulation.runUntil(until);
  const tokens = tokensOf(simulation) - before;
  simulation.finish();
  const counted = simulation.requests.filter(({ arrivedAt }) => arrivedAt >= from && arrivedAt < until);
  const seconds = (until - from) / 1000;
  const begun = simulation.requests.filter(
    ({ firstTokenAt }) => firstTokenAt >= from && firstTokenAt < until,
  );
  const own = begun.reduce((sum, { ask }) => sum + ask.text.tokens - ask.text.sharedTokens, 0);
  return { ...resultOf(counted, tokens, seconds), ownPromptPerSecond: own / seconds };
}

function tokensOf(simulation: Simulation): number {
  return simulation.servers.reduce((sum, { engine }) => sum + engine.counters.generationTokens, 0);
}

function resultOf(
  requests: readonly FleetRequest[],
  tokens: number,
  seconds: number,
): Omit<CaseResult, "ownPromptPerSecond"> {
  const ttft = requests.map(({ ttftMs }) => ttftMs);
  const prompts = requests.reduce((sum, { ask }) => sum + ask.text.tokens, 0);
  return {
    requests: requests.length,
    ttftP50: quantile(ttft, 0.5),
    ttftP90: quantile(ttft, 0.9),
    ttftP99: quantile(ttft, 0.99),
    waitP99: quantile(
      requests.map(({ waitedMs }) => waitedMs),
      0.99,
    ),
    tpotP90: quantile(
      requests.map(({ tpotMs }) => tpotMs),
      0.9,
    ),
    latencyMean: mean(requests.map(({ endedAt, arrivedAt }) => endedAt - arrivedAt)),
    goodput: requests.filter(isGood).length / seconds,
    outputPerSecond: tokens / seconds,
    cachedShare: requests.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0) / prompts,
    preemptions: requests.reduce((sum, request) => sum + request.preemptions, 0),
  };
}

/** First token within a second, further ones within 50 ms on average. */
export function isGood({ ttftMs, tpotMs, end }: FleetRequest): boolean {
  return end === "finished" && ttftMs <= 1000 && tpotMs <= 50;
}
