/**
 * Sends what waits in the outbox to the cloud: several at once, one of a detector at a time and in its order. What fails for a
 * reason that passes waits longer and longer; while the cloud is away a single escalation at a time finds out whether it is
 * back. Nothing is given up but what the cloud refuses, what lost its picture, and what failed for a week.
 */
import type { Cloud, CloudFailure } from "../../contracts/cloud.ts";
import type { EdgeObserver } from "../../contracts/edge-observer.ts";
import type { QueryPayload } from "../../contracts/edge-records.ts";
import type { ClaimedEscalation, EdgeStore, StoredQuery } from "../../contracts/edge-store.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import { Cancellation } from "../../core/cancellation.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import type { ImageQuery } from "../../core/detector.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { backOffMs } from "./back-off.ts";
import { deliver, type Delivery } from "./deliver.ts";
import { LateAnswers } from "./late-answers.ts";
import { compare, isAnswered, withCloudAnswer, type Compared } from "./merge-answer.ts";

/** What the drain needs. */
export interface DrainParts {
  readonly store: Pick<EdgeStore, "outbox" | "query" | "keepQuery">;
  readonly cloud: Cloud;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly observer: EdgeObserver;
  /** Token in place of the device's, of the policy or a caller. May throw: then the detector's escalations wait. */
  readonly tokenOf: (detectorId: string) => string | undefined;
  readonly limits?: Partial<DrainLimits>;
}

/** Bounds of sending. */
export interface DrainLimits {
  /** On their way at once. Default 4. */
  readonly inFlight: number;
  /** For one attempt. Default 20,000. */
  readonly timeoutMs: number;
  /** What failed and is older than this is given up. Default 7 days. */
  readonly maxAgeMs: number;
  /** Nothing is looked for longer than this where nobody calls `wake`. Default 60,000. */
  readonly idleMs: number;
}

const defaultLimits: DrainLimits = {
  inFlight: 4,
  timeoutMs: 20_000,
  maxAgeMs: 7 * 86_400_000,
  idleMs: 60_000,
};

/** Sends from `start` to `close`. */
export class EscalationDrain {
  readonly #parts: DrainParts;
  readonly #limits: DrainLimits;
  readonly #late: LateAnswers;
  readonly #closing = new Cancellation();
  /** Of every item on its way; each is called off by itself. */
  readonly #running = new Map<
    string,
    { readonly cancellation: Cancellation; readonly done: Promise<void> }
  >();
  #timer: Timer | undefined;
  #isStarted = false;
  #isClaiming = false;
  #isWoken = false;
  /** Attempts in a row that met no cloud. */
  #misses = 0;
  /** On the monotonic clock: not before this while the cloud is away. */
  #probeAt = 0;
  /** What was sent since the cloud was away, and from when; undefined once all that had waited is gone. */
  #backlog: { firstAt: number | undefined; sent: number } | undefined;
  #storeFailures = 0;

  constructor(parts: DrainParts) {
    this.#parts = parts;
    this.#limits = { ...defaultLimits, ...parts.limits };
    const { cloud, clock, tokenOf } = parts;
    this.#late = new LateAnswers({
      cloud,
      clock,
      tokenOf,
      timeoutMs: this.#limits.timeoutMs,
      cancellation: this.#closing,
      onAnswer: (asked, answer) => void this.#learn(asked, answer),
    });
  }

  /** How many are on their way. */
  get inFlight(): number {
    return this.#running.size;
  }

  /** How many answers the cloud still owes. */
  get expected(): number {
    return this.#late.size;
  }

  /** Begins. */
  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#parts.cloud.onHealthChange(({ state }) => {
      if (state !== "reachable" || this.#misses === 0) return;
      this.#misses = 0;
      this.#probeAt = 0;
      this.wake();
    });
    this.wake();
  }

  /** Something was queued: it is sent at once where there is room. */
  wake(): void {
    if (!this.#isStarted || this.#closing.reason !== undefined) return;
    if (this.#isClaiming) this.#isWoken = true;
    else void this.#pump();
  }

  /** Calls off what is on its way and gives it back to the outbox. Idempotent. */
  async close(): Promise<void> {
    this.#closing.cancel("shutdown");
    this.#timer?.cancel();
    this.#late.close();
    const running = [...this.#running.values()];
    for (const { cancellation } of running) cancellation.cancel("shutdown");
    await Promise.all(running.map(({ done }) => done));
  }

  #room(): number {
    return (this.#misses > 0 ? 1 : this.#limits.inFlight) - this.#running.size;
  }

  async #pump(): Promise<void> {
    this.#timer?.cancel();
    const { clock } = this.#parts;
    const room = this.#room();
    if (room <= 0) return;
    if (this.#probeAt > clock.now()) return this.#pumpAfter(this.#probeAt - clock.now());
    this.#isClaiming = true;
    this.#isWoken = false;
    const claim = await this.#parts.store.outbox.claim(room);
    this.#isClaiming = false;
    if (isFailure(claim)) return this.#storeFailed(claim);
    this.#storeFailures = 0;
    for (const item of claim.items) this.#begin(item);
    if (claim.items.length === 0 && claim.nextAt === undefined) this.#tellEmpty();
    if (this.#closing.reason !== undefined) return;
    if (this.#isWoken) return this.wake();
    const { nextAt } = claim;
    const idleMs = nextAt === undefined ? Infinity : Math.max(1, nextAt - clock.wallNow());
    this.#pumpAfter(Math.min(this.#limits.idleMs, idleMs));
  }

  /** Nothing is queued and nothing runs: where the cloud had been away, what had waited for it is there now. */
  #tellEmpty(): void {
    if (this.#backlog === undefined || this.#running.size > 0) return;
    const { firstAt, sent } = this.#backlog;
    this.#backlog = undefined;
    if (firstAt === undefined) return;
    const { clock, logger } = this.#parts;
    logger.info("edge_outbox_empty", { sent, tookMs: Math.round(clock.now() - firstAt) });
  }

  #countSent(): void {
    if (this.#backlog === undefined) return;
    this.#backlog.firstAt ??= this.#parts.clock.now();
    this.#backlog.sent++;
  }

  #pumpAfter(delayMs: number): void {
    this.#timer?.cancel();
    if (this.#closing.reason === undefined) this.#timer = this.#parts.clock.after(delayMs, () => this.wake());
  }

  #storeFailed({ message }: Failure): void {
    const { logger, random } = this.#parts;
    if (this.#storeFailures === 0) logger.warn("edge_outbox_unavailable", { reason: message });
    this.#pumpAfter(backOffMs(this.#storeFailures++, random));
  }

  #begin(item: ClaimedEscalation): void {
    const cancellation = new Cancellation();
    if (this.#closing.reason !== undefined) cancellation.cancel("shutdown");
    const done = this.#run(item, cancellation).then(() => {
      this.#running.delete(item.id);
      this.wake();
    });
    this.#running.set(item.id, { cancellation, done });
  }

  async #run(item: ClaimedEscalation, cancellation: Cancellation): Promise<void> {
    const { cloud, tokenOf } = this.#parts;
    const { timeoutMs } = this.#limits;
    const delivery = await deliver(item, { cloud, tokenOf, timeoutMs, cancellation });
    switch (delivery.kind) {
      case "sent":
        return this.#sent(item, delivery);
      case "later":
        return this.#later(item, delivery.failure);
      case "never":
        return this.#never(item, delivery);
      case "called_off":
        return this.#settle(item, () => this.#parts.store.outbox.release(item.id));
    }
  }

  async #sent(item: ClaimedEscalation, { answer, payload }: Delivery & { kind: "sent" }): Promise<void> {
    this.#misses = 0;
    const { outbox } = this.#parts.store;
    const stored = answer === undefined ? undefined : await this.#merged(item.id, answer);
    await this.#settle(item, () => outbox.acknowledge(item.id, stored));
    this.#countSent();
    this.#tell(item, "sent", undefined);
    if (answer === undefined || payload === undefined) return;
    const asked = askedOf(item, payload);
    if (isAnswered(answer)) this.#compare(asked, answer);
    else this.#late.expect(asked);
  }

  async #later(item: ClaimedEscalation, failure: CloudFailure): Promise<void> {
    const { clock, random, store } = this.#parts;
    if (clock.wallNow() - item.enqueuedAt > this.#limits.maxAgeMs)
      return this.#never(item, {
        reason: `given up after it failed for too long: ${failure.detail}`,
        failure: "too_old",
      });
    const pauseMs = backOffMs(item.attempts, random);
    if (isAway(failure)) {
      this.#backlog ??= { firstAt: undefined, sent: 0 };
      this.#probeAt = clock.now() + backOffMs(this.#misses, random);
      this.#misses += 1;
    } else this.#misses = 0;
    const notBefore = clock.wallNow() + Math.max(pauseMs, failure.retryAfterMs ?? 0);
    await this.#settle(item, () => store.outbox.postpone(item.id, notBefore));
    this.#tell(item, "postponed", failure.kind);
  }

  async #never(
    item: ClaimedEscalation,
    { reason, failure }: Pick<Delivery & { kind: "never" }, "reason" | "failure">,
  ): Promise<void> {
    const { logger, store } = this.#parts;
    // The cloud's own refusal says that it is there.
    if (failure === "refused" || failure === "unauthorized") this.#misses = 0;
    await this.#settle(item, () => store.outbox.reject(item.id, reason));
    logger.warn("edge_escalation_rejected", { id: item.id, detectorId: item.detectorId, reason });
    this.#tell(item, "rejected", failure);
  }

  /** Writes what became of an item until it is written, or the drain closes: until then nothing else of its detector goes. */
  async #settle(item: ClaimedEscalation, write: () => Promise<undefined | Failure>): Promise<void> {
    const { clock, logger, random } = this.#parts;
    for (let failures = 0; ; failures++) {
      const refused = await write();
      if (refused === undefined || this.#closing.reason !== undefined) return;
      if (failures === 0) logger.warn("edge_outbox_unavailable", { id: item.id, reason: refused.message });
      await this.#pause(item, backOffMs(failures, random), clock);
    }
  }

  /** Ends early when the drain closes. */
  #pause({ id }: ClaimedEscalation, delayMs: number, clock: Clock): Promise<void> {
    return new Promise((resolve) => {
      const timer = clock.after(delayMs, resolve);
      this.#running.get(id)?.cancellation.listen(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #tell(
    { detectorId, kind }: ClaimedEscalation,
    outcome: "sent" | "postponed" | "rejected",
    failure: string | undefined,
  ): void {
    const { observer, clock } = this.#parts;
    const what = kind === "label" ? "label" : "query";
    observer.delivered({ detectorId, kind: what, at: clock.wallNow(), outcome, failure });
  }

  /** An answer that came after the query was taken. */
  async #learn(asked: Compared, answer: ImageQuery): Promise<void> {
    const stored = await this.#merged(asked.queryId, answer);
    if (stored !== undefined) this.#parts.store.keepQuery(stored);
    this.#compare(asked, answer);
  }

  #compare(asked: Compared, answer: ImageQuery): void {
    const agreement = compare(asked, answer);
    if (agreement !== undefined) this.#parts.observer.compared(agreement);
  }

  async #merged(id: string, answer: ImageQuery): Promise<StoredQuery | undefined> {
    const stored = await this.#parts.store.query(id);
    return stored === undefined || isFailure(stored) ? undefined : withCloudAnswer(stored, answer);
  }
}

/** The cloud itself did not speak: others would fare no better just now. */
function isAway({ kind, status }: CloudFailure): boolean {
  if (kind === "unavailable") return status !== 500;
  return kind !== "throttled" && kind !== "refused";
}

function askedOf({ id, detectorId, enqueuedAt }: ClaimedEscalation, payload: QueryPayload): Compared {
  const { reason, local } = payload;
  return { queryId: id, detectorId, at: enqueuedAt, reason, local };
}
