/** Reports each full hour to the cloud, some minutes after it, until it is taken. */
import { isCloudFailure, isTemporary, type Cloud, type CloudFailure } from "../../contracts/cloud.ts";
import type { Logger, Metrics } from "../../contracts/telemetry.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import type { JsonValue } from "../../core/detector.ts";
import type { Random } from "../../core/random.ts";
import type { EdgeMonitor } from "./create-edge-monitor.ts";
import { hourMs } from "./detector-activity.ts";
import { edgeMetrics } from "./edge-metrics.ts";
import type { StatusReports } from "./status-data.ts";

/** After the hour, and how much earlier or later, so that not all devices call at once. */
const delayMs = 3 * 60_000;
const spreadMs = 120_000;
const timeoutMs = 30_000;
const retry = { firstMs: 60_000, mostMs: 15 * 60_000, jitter: 0.2 } as const;

/** What reports need. */
export interface MetricsUploadOptions {
  readonly cloud: Pick<Cloud, "reportMetrics">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly monitor: EdgeMonitor;
  /** The payload of an hour since the epoch. */
  readonly payloadOf: (hour: number) => JsonValue;
}

/**
 * Sends what was not reported of the last 24 hours, the oldest hour first. What was reported is kept in the store, so that a
 * restart neither loses an hour nor, unless power fails at that moment, repeats one. What the cloud refuses for good is not
 * sent again; credentials that it does not take are tried again, since people mend them.
 */
export class MetricsUpload {
  readonly #options: MetricsUploadOptions;
  readonly #outcomes: (outcome: string) => void;
  #timer: Timer | undefined;
  #failures = 0;
  #lastSentAt: number | undefined;
  #nextAt: number | undefined;
  #failure: string | undefined;
  #closed = false;

  constructor(options: MetricsUploadOptions) {
    this.#options = options;
    const outcomes = options.metrics.counter(edgeMetrics.reports);
    this.#outcomes = (outcome) => void (outcomes.with(outcome).value += 1);
  }

  /** After the monitor has read what earlier processes counted: sends what they left, then each hour. */
  start(): void {
    const left = this.#pending().length > 0;
    this.#plan(left ? retry.firstMs * this.#options.random.unit() : this.#untilNextHour());
  }

  /** How it goes. */
  state(): StatusReports {
    return {
      lastSentAt: this.#lastSentAt ?? null,
      nextAt: this.#nextAt ?? null,
      pending: this.#pending().length,
      failure: this.#failure ?? null,
    };
  }

  /** Ends it. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #pending(): number[] {
    const { monitor, clock } = this.#options;
    return monitor.device.unreported(Math.floor(clock.wallNow() / hourMs));
  }

  #plan(inMs: number): void {
    if (this.#closed) return;
    const { clock } = this.#options;
    this.#nextAt = clock.wallNow() + inMs;
    const send = (): void => void this.#send();
    this.#timer = clock.after(inMs, send);
  }

  /** To hh:03 and up to two minutes more or less of the next hour. */
  #untilNextHour(): number {
    const { clock, random } = this.#options;
    const now = clock.wallNow();
    const next = (Math.floor(now / hourMs) + 1) * hourMs;
    return next + delayMs + (2 * random.unit() - 1) * spreadMs - now;
  }

  async #send(): Promise<void> {
    this.#options.monitor.flush();
    for (const hour of this.#pending()) {
      const answer = await this.#sendHour(hour);
      if (this.#closed) return;
      if (answer !== undefined && (isTemporary(answer) || answer.kind === "unauthorized")) {
        this.#again(answer);
        return;
      }
    }
    this.#failures = 0;
    this.#plan(this.#untilNextHour());
  }

  async #sendHour(hour: number): Promise<CloudFailure | undefined> {
    const { cloud, clock, log, monitor, payloadOf } = this.#options;
    const answer = await cloud.reportMetrics(payloadOf(hour), { timeoutMs });
    if (this.#closed) return undefined;
    if (!isCloudFailure(answer)) {
      this.#outcomes("sent");
      this.#lastSentAt = clock.wallNow();
      this.#failure = undefined;
      monitor.note(hour, "reported", 1);
      return undefined;
    }
    this.#outcomes(answer.kind);
    this.#failure = answer.detail;
    if (answer.kind === "refused") {
      log.warn("edge_metrics_refused", { hour, status: answer.status, reason: answer.detail });
      monitor.note(hour, "reported", 1);
    }
    return answer;
  }

  #again({ retryAfterMs, kind, detail }: CloudFailure): void {
    this.#failures += 1;
    const backOff = Math.min(retry.mostMs, retry.firstMs * 2 ** (this.#failures - 1));
    const jitter = 1 + (2 * this.#options.random.unit() - 1) * retry.jitter;
    if (this.#failures === 1) this.#options.log.info("edge_metrics_postponed", { kind, reason: detail });
    this.#plan(Math.max(backOff * jitter, Math.min(retryAfterMs ?? 0, hourMs)));
  }
}
