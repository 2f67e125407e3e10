/** The published comparison: stages of rising rate, each begun when all requests of the last have ended. */
import { createRandom } from "../../packages/simulator/src/random.ts";
import type { Random } from "../../packages/simulator/src/random.ts";
import { PromptText, textOf } from "./prompt-text.ts";
import type { FleetRequest } from "./fleet-request.ts";
import { mean, quantile } from "./statistics.ts";
import { Simulation } from "./simulation.ts";
import type { SimulationOptions } from "./simulation.ts";

/** The workload. */
export interface Ladder {
  readonly groups: number;
  readonly promptsPerGroup: number;
  readonly systemTokens: number;
  readonly questionTokens: number;
  readonly outputTokens: number;
  readonly stagePauseMs: number;
  /** Requests that the load generator keeps under way at most; what is due beyond is sent as others end. */
  readonly callersAtOnce: number;
  /** Requests a second, and for how many seconds. The first warms the caches and is not told. */
  readonly stages: readonly (readonly [rate: number, seconds: number])[];
  readonly seed: number;
}

/** What one stage gave. */
export interface StageResult {
  readonly rate: number;
  readonly requests: number;
  /** Tokens of all answers, over the time from the stage's begin to its last answer. */
  readonly outputPerSecond: number;
  readonly ttftMean: number;
  readonly ttftP90: number;
  readonly tpotMean: number;
}

/** What the whole ladder gave; means over stages as the publication takes them. */
export interface LadderResult {
  readonly stages: readonly StageResult[];
  readonly outputPerSecond: number;
  /** Over all requests after the first stage, seconds. */
  readonly ttftP90: number;
  readonly ttftMean: number;
  /** Over time and servers, as scraped. */
  readonly waitingMean: number;
  readonly kvMean: number;
  readonly preemptions: number;
  readonly cachedShare: number;
}

/** Runs the ladder. */
export function runLadder(ladder: Ladder, options: SimulationOptions): LadderResult {
  const simulation = new Simulation(options);
  const random = createRandom(ladder.seed);
  const prompts = shuffled(promptsOf(ladder), random);
  const samples = sample(simulation);
  const callers = new Callers(simulation, ladder);
  const stages: StageResult[] = [];
  let next = 0;
  for (const [rate, seconds] of ladder.stages) {
    const start = simulation.clock.now() + ladder.stagePauseMs;
    const first = simulation.requests.length;
    const end = start + seconds * 1000;
    let at = start;
    for (;;) {
      at -= (Math.log(1 - random.unit()) * 1000) / rate;
      if (at >= end) break;
      const text = prompts[next++ % prompts.length];
      if (text === undefined) break;
      simulation.clock.after(at - simulation.clock.now(), () => callers.due(text));
    }
    simulation.runUntil(end);
    while (callers.busy) simulation.runUntil(simulation.clock.now() + 100);
    stages.push(stageOf(rate, start, simulation.requests.slice(first)));
  }
  simulation.finish();
  return summary(stages.slice(1), simulation.requests.slice(stages[0]?.requests), samples);
}

/** The load generator: a bounded number of requests under way. */
class Callers {
  readonly #simulation: Simulation;
  readonly #ladder: Ladder;
  readonly #late: PromptText[] = [];

  constructor(simulation: Simulation, ladder: Ladder) {
    this.#simulation = simulation;
    this.#ladder = ladder;
  }

  get busy(): boolean {
    return this.#simulation.open > 0 || this.#late.length > 0;
  }

  due(text: PromptText): void {
    if (this.#simulation.open >= this.#ladder.callersAtOnce) this.#late.push(text);
    else this.#send(text);
  }

  #send(text: PromptText): void {
    const { outputTokens } = this.#ladder;
    this.#simulation.ask({ text, outputTokens, maxOutputTokens: outputTokens, onEnd: () => this.#next() });
  }

  #next(): void {
    const text = this.#late.shift();
    if (text !== undefined) this.#send(text);
  }
}

function promptsOf(ladder: Ladder): PromptText[] {
  const prompts: PromptText[] = [];
  for (let group = 0; group < ladder.groups; group++) {
    const system = textOf(group, ladder.systemTokens);
    for (let each = 0; each < ladder.promptsPerGroup; each++) {
      const question = textOf(1_000_000 + group * ladder.promptsPerGroup + each, ladder.questionTokens);
      prompts.push(new PromptText([system, question], ladder.systemTokens));
    }
  }
  return prompts;
}

function shuffled<T>(items: T[], random: Random): T[] {
  const keyed = items.map((item) => ({ item, key: random.unit() }));
  return keyed.toSorted((a, b) => a.key - b.key).map(({ item }) => item);
}

/** Sums of what pages of metrics show, every 500 ms. */
interface Samples {
  count: number;
  waiting: number;
  kv: number;
}

function sample(simulation: Simulation): Samples {
  const samples = { count: 0, waiting: 0, kv: 0 };
  const look = (): void => {
    if (simulation.open > 0 || simulation.onIdle === undefined) simulation.clock.after(500, look);
    for (const { signals } of simulation.servers) {
      samples.count += 1;
      samples.waiting += signals.waiting;
      samples.kv += signals.kvUsage;
    }
  };
  simulation.clock.after(0, look);
  return samples;
}

function stageOf(rate: number, start: number, requests: readonly FleetRequest[]): StageResult {
  const ttft = requests.map((request) => request.ttftMs / 1000);
  const last = Math.max(...requests.map(({ endedAt }) => endedAt));
  const output = requests.reduce((sum, { produced }) => sum + produced, 0);
  return {
    rate,
    requests: requests.length,
    outputPerSecond: (output / (last - start)) * 1000,
    ttftMean: mean(ttft),
    ttftP90: quantile(ttft, 0.9),
    tpotMean: mean(requests.map(({ tpotMs }) => tpotMs)),
  };
}

function summary(
  stages: readonly StageResult[],
  requests: readonly FleetRequest[],
  samples: Samples,
): LadderResult {
  const ttft = requests.map((request) => request.ttftMs / 1000);
  return {
    stages,
    outputPerSecond: mean(stages.map(({ outputPerSecond }) => outputPerSecond)),
    ttftP90: quantile(ttft, 0.9),
    ttftMean: mean(ttft),
    waitingMean: samples.waiting / samples.count,
    kvMean: samples.kv / samples.count,
    preemptions: requests.reduce((sum, request) => sum + request.preemptions, 0),
    cachedShare: mean(requests.map(({ cachedTokens, ask }) => cachedTokens / ask.text.tokens)),
  };
}
