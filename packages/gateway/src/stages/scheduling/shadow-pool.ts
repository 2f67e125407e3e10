/** The shadows of one pool: what they are told, what came of it, and the thread between. */
import type { CycleTracer, RequestObserver } from "../../contracts/plugins/scheduling.ts";
import type { MetricHistogram, Metrics, MetricValue } from "../../contracts/telemetry.ts";
import type { WiredScheduling } from "../../contracts/plugins/wired-scheduling.ts";
import {
  shadowResults,
  type ShadowDisagreement,
  type ShadowReport,
  type ShadowResult,
} from "../../contracts/shadows.ts";
import type { Timer } from "../../core/clock.ts";
import type { ShadowTally } from "./shadow-messages.ts";
import { shadowMetrics } from "./shadow-metrics.ts";
import { ShadowRecorder } from "./shadow-recorder.ts";
import {
  defaultShadowLimits,
  ShadowThread,
  type ShadowLimits,
  type ShadowThreadOptions,
} from "./shadow-thread.ts";

/** How long what happens is gathered before it is sent, ms. */
const gatherMs = 5;
/** A frame of so many bytes is sent at once. */
const largestFrame = 1_048_576;
/** Disagreements that are kept of each shadow. */
const keptDisagreements = 32;

/** What a pool's shadows need. */
export interface ShadowPoolOptions extends Omit<ShadowThreadOptions, "listener" | "limits" | "twins"> {
  readonly metrics: Metrics;
  /** The live layer. */
  readonly wired: WiredScheduling;
  readonly limits?: ShadowLimits;
}

/** Counts of one shadow. */
class ShadowCounts {
  readonly name: string;
  readonly results: Readonly<Record<ShadowResult, MetricValue>>;
  readonly margin: MetricHistogram;
  readonly aheadLive: MetricValue;
  readonly aheadShadow: MetricValue;
  readonly busy: MetricValue;
  lastError: string | undefined;
  /** JSON, newest last. */
  disagreements: readonly string[] = [];

  constructor(metrics: Metrics, pool: string, name: string) {
    this.name = name;
    const decisions = metrics.counter(shadowMetrics.decisions);
    const ahead = metrics.counter(shadowMetrics.ahead);
    const count = (result: ShadowResult): MetricValue => decisions.with(pool, name, result);
    const [agree, disagree, error, late, dropped] = shadowResults;
    this.results = {
      agree: count(agree),
      disagree: count(disagree),
      error: count(error),
      late: count(late),
      dropped: count(dropped),
    };
    this.margin = metrics.histogram(shadowMetrics.margin).with(pool, name);
    this.aheadLive = ahead.with(pool, name, "live");
    this.aheadShadow = ahead.with(pool, name, "shadow");
    this.busy = metrics.counter(shadowMetrics.busy).with(pool, name);
  }

  add(tally: ShadowTally): void {
    this.results.agree.value += tally.agree;
    this.results.disagree.value += tally.disagree;
    this.results.error.value += tally.error;
    this.aheadLive.value += tally.aheadLive;
    this.aheadShadow.value += tally.aheadShadow;
    this.busy.value += tally.busyMs / 1_000;
    for (const margin of tally.margins) this.margin.observe(margin);
    if (tally.lastError !== "") this.lastError = tally.lastError;
    if (tally.disagreements.length > 0)
      this.disagreements = [...this.disagreements, ...tally.disagreements].slice(-keptDisagreements);
  }
}

/** Starts the thread at once; until it is ready, cycles are dropped and counted. */
export class ShadowPool {
  /** The live layer, whose requests the shadows hear of. */
  readonly wired: WiredScheduling;
  readonly #options: ShadowPoolOptions;
  readonly #counts: readonly ShadowCounts[];
  readonly #recorder: ShadowRecorder;
  readonly #thread: ShadowThread;
  #timer: Timer | undefined;
  readonly #flush = (): void => this.#send();

  constructor(options: ShadowPoolOptions) {
    const { clock, wired, shadows, metrics, pool, limits = defaultShadowLimits } = options;
    this.#options = options;
    this.#counts = shadows.map(({ name }) => new ShadowCounts(metrics, pool, name));
    const restarts = metrics.counter(shadowMetrics.restarts);
    const recorder = new ShadowRecorder({
      clock,
      producers: wired.producers,
      place: wired.dataSize,
      taker: {
        takes: () => this.#takes(),
        dropped: () => this.#count("dropped", 1),
        written: () => void (this.#timer ??= clock.after(gatherMs, this.#flush)),
      },
    });
    this.#recorder = recorder;
    this.wired = {
      ...wired,
      dataSize: wired.dataSize + 1,
      get readsPrompt(): boolean {
        return wired.readsPrompt || recorder.sendsPrompts;
      },
      observers: [...wired.observers, { name: "shadows", plugin: recorder satisfies RequestObserver }],
    };
    this.#thread = new ShadowThread({
      ...options,
      limits,
      twins: wired.producers.flatMap(({ name, plugin }) => (plugin.digest === undefined ? [] : [name])),
      listener: {
        ready: (readsPrompts) => {
          recorder.restart();
          recorder.sendsPrompts = readsPrompts;
        },
        tallied: (tallies, cycles) => this.#tallied(tallies, cycles),
        lost: (cycles, reason) => {
          this.#count("late", cycles);
          restarts.with(pool, reason).value++;
        },
        failed: (shadow, reason) => this.#failed(shadow, reason),
      },
    });
    this.#thread.start();
  }

  /** To be told of the live engine's cycles. */
  get tracer(): CycleTracer {
    return this.#recorder;
  }

  reports(): ShadowReport[] {
    const { pool } = this.#options;
    return this.#counts.map((counts) => ({
      pool,
      shadow: counts.name,
      state: this.#thread.stateOf(counts.name),
      results: {
        agree: counts.results.agree.value,
        disagree: counts.results.disagree.value,
        error: counts.results.error.value,
        late: counts.results.late.value,
        dropped: counts.results.dropped.value,
      },
      promptTokensAhead: { live: counts.aheadLive.value, shadow: counts.aheadShadow.value },
      busyMs: counts.busy.value * 1_000,
      lastError: counts.lastError,
      disagreements: counts.disagreements.flatMap(parseDisagreement).toReversed(),
    }));
  }

  /** Ends the thread. Idempotent. */
  close(): void {
    this.#timer?.cancel();
    this.#thread.close();
  }

  #takes(): boolean {
    if (this.#recorder.size > largestFrame) this.#send();
    return this.#thread.takes;
  }

  #send(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const frame = this.#recorder.take();
    if (frame !== undefined) this.#thread.send(frame);
  }

  /** A shadow without a tally rests, and was not told. */
  #tallied(tallies: readonly ShadowTally[], cycles: number): void {
    for (const counts of this.#counts) {
      const tally = tallies.find(({ shadow }) => shadow === counts.name);
      if (tally === undefined) counts.results.dropped.value += cycles;
      else counts.add(tally);
    }
  }

  #count(result: ShadowResult, cycles: number): void {
    for (const { results } of this.#counts) results[result].value += cycles;
  }

  #failed(shadow: string, reason: string): void {
    const counts = this.#counts.find(({ name }) => name === shadow);
    if (counts !== undefined) counts.lastError = reason;
    this.#options.logger.warn("shadow_rests", { pool: this.#options.pool, shadow, reason });
  }
}

/** What a thread wrote is shown only where it can be read. */
function parseDisagreement(text: string): ShadowDisagreement[] {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? [value as ShadowDisagreement] : [];
  } catch {
    return [];
  }
}
