/**
 * How one server is judged: by probes that ask what it serves, and by how attempts at it end. It opens
 * no connection: events come in, the state goes out.
 */
import type { AttemptResult, HttpEndpointState } from "../contracts/http-endpoint.ts";
import type { HealthOptions } from "../contracts/options.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import { FailureWindow } from "./failure-window.ts";
import type { SurveyFailure } from "./survey.ts";

/** Why a server is left alone. */
export type EjectionCause = "unreachable" | "failing" | "misconfigured";

/** Who hears of changes, and what is asked of it. Called synchronously. */
export interface HealthListener {
  /** The state, or the number of attempts that may run, has changed. `reason` is for people. */
  changed(previous: HttpEndpointState, reason: string): void;
  /** The server is left alone for a while. */
  ejected(cause: EjectionCause): void;
  /** Somebody has to ask the server soon. */
  probeWanted(): void;
}

/** What the judgement needs. */
export interface EndpointHealthOptions {
  readonly health: HealthOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly listener: HealthListener;
}

/** Refused connections in a row that count as unreachable; the second is mostly the probe that the first asks for. */
const unreachableAfter = 2;
/** Failed probes in a row: one that is slow because the machine is busy says little. */
const failedProbesAfter = 3;
/** Answers 403 in a row: a single one may be about what a caller asked for. */
const forbiddenAfter = 3;
/** Pauses where the server does not say how long, ms. */
const pauseMs = { busy: 500, "rate-limited": 1_000 };
/** The longest pause that repeated refusals without `Retry-After` lead to, ms. */
const longestPauseMs = { busy: 4_000, "rate-limited": 60_000 };
/** How often a server that is loading, or whose probe just failed, is asked, ms. */
const impatientMs = 1_000;

type Pause = "busy" | "rate-limited";
type Breaker =
  | { readonly kind: "closed" }
  | {
      readonly kind: "open";
      readonly cause: EjectionCause;
      readonly by: "probe" | "attempt";
      readonly until: number;
    }
  | { readonly kind: "half-open"; readonly cause: EjectionCause };

/** The judgement of one server. */
export class EndpointHealth {
  readonly #options: EndpointHealthOptions;
  readonly #window: FailureWindow;
  #state: HttpEndpointState = "loading";
  #breaker: Breaker = { kind: "closed" };
  /** When the breaker last changed; attempts begun before say nothing any more. */
  #since = Number.NEGATIVE_INFINITY;
  /** Ejections of a server that had been well, or was on trial, without a long calm between them. */
  #relapses = 0;
  #openMs = 0;
  #reached = false;
  #loading = false;
  #draining = false;
  #failures = 0;
  #unreachable = 0;
  #forbidden = 0;
  #failedProbes = 0;
  #pause: Pause | undefined;
  #pausedUntil = 0;
  #pauses = 0;
  #breakerTimer: Timer | undefined;
  #pauseTimer: Timer | undefined;

  constructor(options: EndpointHealthOptions) {
    this.#options = options;
    this.#window = new FailureWindow();
  }

  get state(): HttpEndpointState {
    return this.#state;
  }

  /** True while one attempt may find out whether the server is well again. */
  get halfOpen(): boolean {
    return this.#breaker.kind === "half-open" && !this.#draining;
  }

  /** When a pause or ejection ends, on the clock; undefined where nothing is waited for. */
  get resumesAt(): number | undefined {
    if (this.#breaker.kind === "open") return this.#breaker.until;
    return this.#pause === undefined ? undefined : this.#pausedUntil;
  }

  /** How long until the server is to be asked again, ms. */
  get probeDelayMs(): number {
    const { clock, health, random } = this.#options;
    const usual = health.intervalMs * (0.9 + 0.2 * random.unit());
    if (this.#breaker.kind === "open") return Math.max(1, Math.min(usual, this.#breaker.until - clock.now()));
    const impatient = !this.#reached || this.#loading || this.#failedProbes > 0 || this.#unreachable > 0;
    return impatient ? Math.min(usual, impatientMs) : usual;
  }

  /** The server said what it serves. */
  probeSucceeded(): void {
    this.#reached = true;
    this.#loading = false;
    this.#failedProbes = 0;
    this.#unreachable = 0;
    this.#endEjection();
    this.#update("it answers");
  }

  /** The server did not say what it serves. `busy`: attempts run there, so that a slow answer is no wonder. */
  probeFailed(failure: SurveyFailure, { busy }: { readonly busy: boolean }): void {
    const { kind, status, message, isOurs = false } = failure;
    if (isOurs) return;
    if (kind === "loading") {
      this.#reached = true;
      this.#loading = true;
      this.#failedProbes = 0;
      if (this.#breaker.kind === "open" && this.#breaker.by === "probe") this.#close();
    } else if (kind === "connect") this.#countUnreachable("probe", message);
    else if (status === 429) this.#pauseFor("rate-limited", failure.retryAfterMs);
    else if (kind === "malformed" || status === 401 || status === 403 || status === 404) {
      this.#trip("misconfigured", "probe", message);
    } else if (!(kind === "timeout" && busy)) {
      this.#failedProbes++;
      if (this.#failedProbes >= failedProbesAfter || this.#breaker.kind === "open") {
        this.#trip("failing", "probe", message);
      }
    }
    this.#update(message);
  }

  /** An attempt has ended. */
  attemptEnded(result: AttemptResult): void {
    const now = this.#options.clock.now();
    if (result.kind === "cancelled" || now - result.durationMs < this.#since) return;
    switch (result.kind) {
      case "ok":
        this.#answered(now);
        this.#endPause();
        break;
      case "refused":
        this.#refused(result, now);
        break;
      case "connect":
        this.#countUnreachable("attempt", "no connection");
        this.#options.listener.probeWanted();
        break;
      case "closed":
      case "malformed":
      case "timeout":
        this.#countFailure(reasons[result.kind]);
        this.#options.listener.probeWanted();
    }
    this.#update("requests");
  }

  /** The server is no longer in the pool. `false`: it is again. */
  setDraining(draining: boolean): void {
    this.#draining = draining;
    this.#update(draining ? "it left the pool" : "it is back in the pool");
  }

  /** Stops every timer. Idempotent. */
  close(): void {
    this.#breakerTimer?.cancel();
    this.#pauseTimer?.cancel();
  }

  #refused({ status = 0, isCallersMistake = false, retryAfterMs }: AttemptResult, now: number): void {
    if (isCallersMistake) return this.#answered(now);
    if (status === 429 || status === 503 || status === 529) {
      // It answers, which is all that half-open asks.
      this.#closeAfterTrial();
      this.#pauseFor(status === 429 ? "rate-limited" : "busy", retryAfterMs);
    } else if (status === 401 || status === 403) {
      this.#forbidden += status === 401 ? forbiddenAfter : 1;
      if (this.#forbidden >= forbiddenAfter || this.#breaker.kind === "half-open") {
        this.#trip("misconfigured", "attempt", `status ${status}`);
      }
    } else if (status >= 500 && status !== 501) {
      this.#countFailure(`status ${status}`);
    } else this.#answered(now);
  }

  /** A sign of life that puts an end to every suspicion. */
  #answered(now: number): void {
    this.#failures = 0;
    this.#unreachable = 0;
    this.#forbidden = 0;
    this.#reached = true;
    this.#window.add(now, true);
    if (this.#breaker.kind === "closed") return;
    this.#close();
  }

  /** What only requests brought to light, only a request can show to be over. */
  #endEjection(): void {
    if (this.#breaker.kind !== "open") return;
    const { cause, by, until } = this.#breaker;
    const corrected = cause === "misconfigured" && by === "probe";
    if (!corrected && this.#options.clock.now() < until) return;
    if (by === "attempt" && cause !== "unreachable") this.#halfOpen(cause);
    else this.#close();
  }

  #closeAfterTrial(): void {
    if (this.#breaker.kind === "half-open") this.#close();
  }

  #countFailure(reason: string): void {
    const now = this.#options.clock.now();
    this.#failures++;
    this.#window.add(now, false);
    const tooMany = this.#failures >= this.#options.health.failures || this.#window.isBad(now);
    if (this.#breaker.kind === "half-open" || tooMany) this.#trip("failing", "attempt", reason);
  }

  #countUnreachable(by: "probe" | "attempt", reason: string): void {
    this.#unreachable++;
    const known = this.#reached && this.#breaker.kind === "closed";
    if (!known || this.#unreachable >= unreachableAfter) this.#trip("unreachable", by, reason);
  }

  /** Leaves the server alone, each time for longer. Attempts while it is open (a pool in panic) change nothing. */
  #trip(cause: EjectionCause, by: "probe" | "attempt", reason: string): void {
    const { clock, health, random, listener } = this.#options;
    const now = clock.now();
    const { kind } = this.#breaker;
    if (kind === "open" && (by === "attempt" || now < this.#breaker.until)) return;
    const { initial, max } = health.backoffMs;
    const calm = kind === "closed" && now - this.#since > 10 * Math.max(this.#openMs, initial);
    if (calm) this.#relapses = 0;
    // A server that stays away is no worse than one that was away; asking it costs it nothing.
    if (kind !== "open" || cause !== "unreachable" || this.#relapses === 0) this.#relapses++;
    this.#openMs =
      Math.min(initial * 2 ** Math.min(this.#relapses - 1, 30), max) * (0.8 + 0.2 * random.unit());
    this.#breaker = { kind: "open", cause, by, until: now + this.#openMs };
    this.#restart(now);
    this.#breakerTimer = clock.after(this.#openMs, () => this.#openOver());
    if (kind !== "open") listener.ejected(cause);
    this.#update(reason);
  }

  #openOver(): void {
    if (this.#breaker.kind !== "open") return;
    const { cause, by } = this.#breaker;
    if (by === "attempt" && cause !== "unreachable" && this.#failedProbes + this.#unreachable === 0)
      this.#halfOpen(cause);
    else this.#options.listener.probeWanted();
    this.#update("it may be tried again");
  }

  #halfOpen(cause: EjectionCause): void {
    this.#breaker = { kind: "half-open", cause };
    this.#restart(this.#options.clock.now());
    // The state stays what it was; that there is a place is news.
    this.#options.listener.changed(this.#state, "one request may try it");
  }

  #close(): void {
    this.#breaker = { kind: "closed" };
    this.#restart(this.#options.clock.now());
  }

  #restart(now: number): void {
    this.#breakerTimer?.cancel();
    this.#breakerTimer = undefined;
    this.#since = now;
    this.#failures = 0;
    this.#forbidden = 0;
    this.#window.clear();
  }

  #pauseFor(kind: Pause, retryAfterMs: number | undefined): void {
    const { clock } = this.#options;
    const usual = Math.min(pauseMs[kind] * 2 ** Math.min(this.#pauses, 20), longestPauseMs[kind]);
    this.#pauses++;
    const until = clock.now() + (retryAfterMs ?? usual);
    // One that says "wait a minute" is not overruled by one that says nothing.
    if (this.#pause === kind && until <= this.#pausedUntil) return;
    this.#pause = kind;
    this.#pausedUntil = until;
    this.#pauseTimer?.cancel();
    this.#pauseTimer = clock.after(until - clock.now(), () => {
      this.#pause = undefined;
      this.#update("its pause is over");
    });
  }

  /** An answer shows that there is room again; what a rate limit says stands. */
  #endPause(): void {
    this.#pauses = 0;
    if (this.#pause !== "busy") return;
    this.#pauseTimer?.cancel();
    this.#pause = undefined;
  }

  #update(reason: string): void {
    const previous = this.#state;
    this.#state = this.#judge();
    if (this.#state !== previous) this.#options.listener.changed(previous, reason);
  }

  #judge(): HttpEndpointState {
    if (this.#draining) return "draining";
    if (this.#breaker.kind !== "closed") {
      return this.#breaker.cause === "misconfigured" ? "misconfigured" : "unhealthy";
    }
    if (!this.#reached || this.#loading) return "loading";
    return this.#pause ?? "ready";
  }
}

const reasons = {
  closed: "the connection was closed",
  malformed: "its answer cannot be read",
  timeout: "it took too long",
} as const;
