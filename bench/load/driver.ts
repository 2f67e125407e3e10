/**
 * Decides when each request of a run is sent and hands what happens to the recorder. All state is written from the event
 * loop alone; nothing is allocated a request.
 */
import { createArrivals } from "./arrivals.ts";
import type { Arrivals } from "./arrivals.ts";
import { monotonicUs } from "./event-stamps.ts";
import type { FailureKind, LoadResult } from "./load-result.ts";
import { slotCount } from "./load-spec.ts";
import type { LoadPlan } from "./load-spec.ts";
import { Pacer } from "./pacer.ts";
import { ProcessCost } from "./process-cost.ts";
import { Recorder } from "./recorder.ts";
import type { Transport, TransportEvents } from "./transport.ts";

/** A closed-loop slot waits this long before it tries a refused connection again. */
const REFUSED_PAUSE_MS = 10;
/** Timeouts are looked for this often; a request may live longer than its time by as much. */
const SWEEP_MS = 20;

/** The two moments between which a harness samples the processes under test. */
export type LoadPhase = "measuring" | "measured";

/** Around a run. */
export interface DriverOptions {
  readonly onPhase?: (phase: LoadPhase) => void;
}

/**
 * Runs a plan over a transport once. States: `idle` before `run`; `running` while requests are started; `draining`
 * from the end of the window until nothing is in flight and no request of the window waits; `done`.
 */
export class LoadDriver implements TransportEvents {
  readonly #plan: LoadPlan;
  readonly #transport: Transport;
  readonly #onPhase: (phase: LoadPhase) => void;
  /** Intended send time of the request in flight on each slot; -1 on an idle one. */
  readonly #intendedMs: Float64Array;
  /** Open loop: the idle slots, a ring. In turn, so that no connection idles until its server closes it. */
  readonly #freeSlots: Int32Array;
  #freeHead = 0;
  #freeCount = 0;
  #inFlight = 0;
  #stopAsked = false;
  #state: "idle" | "running" | "draining" | "done" = "idle";
  readonly #cost = new ProcessCost();
  #recorder = new Recorder(0, { seriesIntervalMs: undefined, rateOf: "arrivals" });
  #startMs = 0;
  #endMs = 0;
  #lastAnswerMs = 0;
  /** Requests still to be started in a run bounded by count. */
  #remaining = Number.POSITIVE_INFINITY;
  #arrivals: Arrivals | null = null;
  #firstArrivalMs = 0;
  /** Open loop: the intended time at the head of the line. Later ones are not drawn yet, so the line needs no memory. */
  #nextMs = 0;
  #resolveDrained: () => void = () => undefined;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(plan: LoadPlan, transport: Transport, options: DriverOptions = {}) {
    this.#plan = plan;
    this.#transport = transport;
    this.#onPhase = options.onPhase ?? (() => undefined);
    this.#intendedMs = new Float64Array(slotCount(plan)).fill(-1);
    this.#freeSlots = new Int32Array(slotCount(plan));
  }

  /** Connects, warms up, measures, drains and disconnects. May be called once. */
  async run(): Promise<LoadResult> {
    const { pace } = this.#plan;
    const drained = new Promise<void>((resolve) => (this.#resolveDrained = resolve));
    await this.#open();
    const arrivals = pace.kind === "open" ? { ...pace, kind: pace.arrivals } : null;
    const pacer = arrivals === null ? null : await Pacer.create(arrivals);
    this.#begin();
    if (pacer === null || arrivals === null) this.#startClosed();
    else this.#startOpen(pacer, createArrivals(arrivals));
    if (this.#stopAsked) this.stop();
    await drained;
    await this.#finish(pacer);
    return this.#recorder.result({ ...this.#cost.read(), connects: this.#transport.connects });
  }

  /** Ends the measured window now, or as soon as the run begins. */
  stop(): void {
    this.#stopAsked = true;
    if (this.#state === "running") this.#endWindow(performance.now());
  }

  answered(slot: number, status: number, ok: boolean): void {
    const nowMs = performance.now();
    this.#recorder.answered(this.#intendedMs[slot] ?? 0, nowMs, status, ok);
    this.#lastAnswerMs = nowMs;
    this.#release(slot, nowMs);
  }

  failed(slot: number, kind: FailureKind): void {
    const nowMs = performance.now();
    this.#recorder.failed(this.#intendedMs[slot] ?? 0, nowMs, kind);
    this.#lastAnswerMs = nowMs;
    if (kind === "refused" && this.#arrivals === null) this.#releaseLater(slot);
    else this.#release(slot, nowMs);
  }

  event(slot: number, stampUs: number, first: boolean): void {
    const intendedMs = this.#intendedMs[slot] ?? -1;
    if (intendedMs < 0) return;
    this.#recorder.event(performance.now(), (monotonicUs() - stampUs) / 1000);
    if (first) this.#recorder.firstEvent(intendedMs, performance.now());
  }

  /** A server that accepts and then says nothing must not hold the run up: its slots time out as they are used. */
  async #open(): Promise<void> {
    const opened = this.#transport.open(this);
    const late = new Promise<void>((resolve) => this.#after(this.#plan.timeoutMs, resolve));
    await Promise.race([opened, late]);
  }

  /** Fixes the window and starts the clockwork. */
  #begin(): void {
    const { warmUpMs, bound, seriesIntervalMs } = this.#plan;
    const nowMs = performance.now();
    this.#state = "running";
    this.#startMs = nowMs + warmUpMs;
    this.#endMs = "durationMs" in bound ? this.#startMs + bound.durationMs : Number.POSITIVE_INFINITY;
    if ("requests" in bound) this.#remaining = bound.requests;
    const rateOf = "requests" in bound ? "requests" : "arrivals";
    this.#recorder = new Recorder(this.#startMs, { seriesIntervalMs, rateOf });
    this.#after(warmUpMs, () => {
      if (this.#state !== "running") return;
      this.#cost.begin();
      this.#onPhase("measuring");
    });
    if ("durationMs" in bound) this.#after(warmUpMs + bound.durationMs, () => this.#endWindow(this.#endMs));
    this.#timers.add(setInterval(() => this.#sweep(performance.now()), SWEEP_MS));
  }

  async #finish(pacer: Pacer | null): Promise<void> {
    this.#state = "done";
    this.#cost.close();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#transport.close();
    await pacer?.close();
  }

  #startClosed(): void {
    const nowMs = performance.now();
    for (let slot = 0; slot < this.#intendedMs.length; slot += 1) this.#startNext(slot, nowMs);
  }

  /** The line's clock starts before the pacer's: a wake never comes before the time it is for. */
  #startOpen(pacer: Pacer, arrivals: Arrivals): void {
    for (let slot = 0; slot < this.#freeSlots.length; slot += 1) this.#pushFree(slot);
    this.#arrivals = arrivals;
    this.#firstArrivalMs = performance.now();
    this.#drawArrival();
    pacer.start(() => this.#pump(performance.now(), "on-time"));
  }

  /** A slot has nothing in flight any more. */
  #release(slot: number, nowMs: number): void {
    this.#intendedMs[slot] = -1;
    this.#inFlight -= 1;
    if (this.#arrivals === null) this.#startNext(slot, nowMs);
    else {
      if (this.#freeCount > 0) this.#pump(nowMs, "on-time");
      this.#pushFree(slot);
      this.#pump(nowMs, "waited");
    }
    this.#checkDrained();
  }

  #releaseLater(slot: number): void {
    this.#intendedMs[slot] = -1;
    this.#inFlight -= 1;
    this.#after(REFUSED_PAUSE_MS, () => this.#startNext(slot, performance.now()));
    this.#checkDrained();
  }

  /** Closed loop: the slot's next request, unless the window is over. */
  #startNext(slot: number, nowMs: number): void {
    if (this.#state !== "running" || nowMs >= this.#endMs) return;
    this.#send(slot, nowMs);
    this.#countStarted(nowMs);
  }

  /** After the last one of a run bounded by count, the window ends before whatever is due next. */
  #countStarted(intendedMs: number): void {
    if (intendedMs < this.#startMs) return;
    this.#remaining -= 1;
    if (this.#remaining === 0) this.#endWindow(this.#arrivals === null ? performance.now() : this.#nextMs);
  }

  #send(slot: number, intendedMs: number): void {
    this.#intendedMs[slot] = intendedMs;
    this.#inFlight += 1;
    this.#transport.send(slot);
  }

  /** Open loop: sends every request whose time has come, as far as slots are free. */
  #pump(nowMs: number, why: "on-time" | "waited"): void {
    this.#dropExpired(nowMs);
    while (this.#freeCount > 0 && this.#isDue(nowMs)) {
      const intendedMs = this.#nextMs;
      if (why === "on-time") this.#recorder.sentFreely(intendedMs, nowMs);
      else this.#recorder.sentAfterWait(intendedMs);
      this.#send(this.#takeFree(), intendedMs);
      this.#drawArrival();
      this.#countStarted(intendedMs);
    }
  }

  /** Open loop: whoever waited past the timeout has failed, sent or not. */
  #dropExpired(nowMs: number): void {
    while (this.#isDue(nowMs) && nowMs - this.#nextMs > this.#plan.timeoutMs) {
      const intendedMs = this.#nextMs;
      this.#recorder.failed(intendedMs, nowMs, "timeout");
      this.#drawArrival();
      this.#countStarted(intendedMs);
    }
  }

  #isDue(nowMs: number): boolean {
    return this.#nextMs <= nowMs && this.#nextMs < this.#endMs;
  }

  #drawArrival(): void {
    this.#nextMs = this.#firstArrivalMs + (this.#arrivals?.() ?? 0);
  }

  #pushFree(slot: number): void {
    this.#freeSlots[(this.#freeHead + this.#freeCount) % this.#freeSlots.length] = slot;
    this.#freeCount += 1;
  }

  #takeFree(): number {
    const slot = this.#freeSlots[this.#freeHead] ?? 0;
    this.#freeHead = (this.#freeHead + 1) % this.#freeSlots.length;
    this.#freeCount -= 1;
    return slot;
  }

  /** Gives up what is past its time. */
  #sweep(nowMs: number): void {
    for (let slot = 0; slot < this.#intendedMs.length; slot += 1) {
      const intendedMs = this.#intendedMs[slot] ?? -1;
      if (intendedMs < 0 || nowMs - intendedMs <= this.#plan.timeoutMs) continue;
      this.#transport.abandon(slot);
      this.failed(slot, "timeout");
    }
    if (this.#arrivals !== null) this.#pump(nowMs, "on-time");
    this.#checkDrained();
  }

  #endWindow(endMs: number): void {
    if (this.#state !== "running") return;
    this.#state = "draining";
    this.#endMs = endMs;
    this.#recorder.endWindow(endMs);
    this.#cost.end();
    this.#onPhase("measured");
    this.#checkDrained();
  }

  #checkDrained(): void {
    if (this.#state !== "draining" || this.#inFlight > 0) return;
    if (this.#arrivals !== null && this.#nextMs < this.#endMs) return;
    if ("requests" in this.#plan.bound) this.#recorder.endWindow(this.#lastAnswerMs);
    this.#resolveDrained();
  }

  #after(delayMs: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, delayMs);
    this.#timers.add(timer);
  }
}
