/**
 * The one line in front of an endpoint or a pool: bands by priority, flows, deadlines, bounds, cancellation.
 *
 * Single writer: every change happens in one synchronous call, never across an `await`. Whoever
 * drains the line calls `take`; nothing else hands requests out.
 */
import type { Inspect, Snapshot } from "../../contracts/inspect.ts";
import type { Line, LineCost, LineEntry, TakeLimit, Waiter } from "../../contracts/line.ts";
import type { FlowOptions } from "../../contracts/options.ts";
import type { SettledWork } from "../../contracts/plugins/flow.ts";
import type { Clock } from "../../core/clock.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { BoundTensors, Payload, TensorPayload } from "../../core/request.ts";
import { Band } from "./band.ts";
import { DrainRate } from "./drain-rate.ts";
import { ExpiryWatch } from "./expiry-watch.ts";
import type { Lane, Waiting } from "./flow-queue.ts";
import { inspectBands } from "./inspect-bands.ts";
import type { BandRules, LeaveCause, LineOutcome, LineRules, Standing } from "./line-rules.ts";
import { Selection } from "./shape-key.ts";
import { WaitingRequest } from "./waiting-request.ts";

/** Without rules, priorities outside this range count as its ends, which bounds the number of bands. */
const priorityRange = { lowest: -16, highest: 16 };

/** Bands of a line without rules. */
const plainBand: BandRules = {
  maxRequests: Infinity,
  maxBytes: Infinity,
  maxTokens: Infinity,
  ttlMs: Infinity,
  fairness: undefined,
  ordering: undefined,
};

/** What a line needs. */
export interface LineOptions {
  readonly clock: Clock;
  readonly maxQueue: FlowOptions["maxQueue"];
  /** Hears of every request that leaves the line unserved. */
  readonly onRefused: (failure: Failure) => void;
  /** Absent: one band a priority, first come first served, bounded by `maxQueue` alone. With rules `maxQueue` does not count. */
  readonly rules?: LineRules | undefined;
}

/** A request that has left and is still to be told. */
interface Leaver<P extends Payload, B extends LineCost> {
  readonly waiter: Waiting<P, B>;
  readonly reason: Failure;
}

/** The line in front of one endpoint, or of one pool. */
export class RequestLine<P extends Payload = TensorPayload, B extends LineCost = BoundTensors>
  implements Line<P, B>, Inspect
{
  readonly #clock: Clock;
  readonly #maxQueue: number;
  readonly #onRefused: (failure: Failure) => void;
  readonly #rules: LineRules | undefined;
  /** Highest priority first. */
  readonly #bands: Band<P, B>[] = [];
  readonly #selection = new Selection();
  readonly #expiry: ExpiryWatch;
  readonly #rate: DrainRate;
  #length = 0;
  #rows = 0;
  #bytes = 0;
  #tokens = 0;
  #sequence = 0;
  #listener: (() => void) | undefined;
  #isEmptyPool = false;
  /** When the pool got its first endpoint, or lost its last. */
  #regimeSince = -Infinity;

  constructor({ clock, maxQueue, onRefused, rules }: LineOptions) {
    this.#clock = clock;
    this.#maxQueue = maxQueue;
    this.#onRefused = onRefused;
    this.#rules = rules;
    this.#expiry = new ExpiryWatch(clock, () => this.#expire());
    this.#rate = new DrainRate(clock.now());
  }

  get length(): number {
    return this.#length;
  }

  get rows(): number {
    return this.#rows;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Predicted tokens of all waiting requests in sum; 0 without rules. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Highest priority first; those in which nothing waits are among them. */
  get bands(): readonly Band<P, B>[] {
    return this.#bands;
  }

  inspect(): Snapshot {
    return inspectBands(this.#bands, this.#clock.now());
  }

  get oldestAt(): number | undefined {
    let oldest: number | undefined;
    for (const { flows } of this.#bands) {
      for (const { lanes } of flows) {
        for (const { head } of lanes) {
          const at = head?.enqueuedAt;
          if (at !== undefined && (oldest === undefined || at < oldest)) oldest = at;
        }
      }
    }
    return oldest;
  }

  eachShape(visit: (shapeKey: string, waiting: number) => void): void {
    for (const band of this.#bands) band.eachShape(visit);
  }

  onArrival(listener: () => void): void {
    this.#listener = listener;
  }

  /** Puts a request in line, or refuses it at once: line full, deadline passed, already called off. */
  join(entry: LineEntry<P, B>): void {
    const now = this.#clock.now();
    const { request, bound } = entry;
    const band = this.#bandOf(request.priority);
    const waiter = new WaitingRequest<P, B, Lane<P, B>>(entry, band.rules, now, ++this.#sequence);
    const cause = this.#causeAtEntry(waiter, band, now);
    if (cause !== undefined) return this.#refuseAtEntry(waiter, band, cause, now);
    band.add(waiter);
    this.#length++;
    this.#rows += bound.rows;
    this.#bytes += waiter.bytes;
    this.#tokens += waiter.predictedTokens;
    request.cancellation.listen(() => this.#leave(waiter, band, "cancelled"));
    this.#expiry.watch(this.#expiresAt(waiter, band), now, this.#length);
    this.#rules?.observer.joined(waiter, this.#clock.now() - now);
    this.#listener?.();
  }

  take(limit: TakeLimit<P, B>): Waiter<P, B>[] {
    const now = this.#clock.now();
    const taken: Waiting<P, B>[] = [];
    const late: Leaver<P, B>[] = [];
    this.#noteRegime(now);
    this.#selection.begin(limit.fits);
    this.#choose(limit, now, taken, late);
    this.#selection.end();
    this.#rules?.observer.taken(this.#clock.now() - now);
    for (const { waiter, reason } of late) this.#tell(waiter, reason);
    return taken;
  }

  flush(reason: Failure): void {
    const told = this.#rules?.flushed(reason) ?? reason;
    for (const band of this.#bands) {
      for (let waiter = band.tail(); waiter !== undefined; waiter = band.tail()) {
        this.#remove(waiter, band, "flushed");
        this.#tell(waiter, told);
      }
    }
  }

  /** What a request of a priority really used, once it has ended. */
  settled(used: SettledWork): void {
    const priority = this.#rules?.bandOf(used.priority);
    this.#bands.find((band) => band.priority === priority)?.settled(used, this.#clock.now());
  }

  /** Where a request would stand that joined now. */
  standing(priority: number): Standing {
    const now = this.#clock.now();
    return this.#standingAt(this.#ahead(this.#bandOf(priority)) + 1, now);
  }

  #choose(
    { maxRows, maxBytes = Infinity, suits }: TakeLimit<P, B>,
    now: number,
    taken: Waiting<P, B>[],
    late: Leaver<P, B>[],
  ): void {
    let rows = 0;
    let bytes = 0;
    for (const band of this.#bands) {
      for (let waiter = band.next(now, suits); waiter !== undefined; waiter = band.next(now, suits)) {
        if (this.#expiresAt(waiter, band) <= now) {
          late.push(this.#takeOut(waiter, band, this.#expiryCause(waiter, now)));
          continue;
        }
        rows += waiter.bound.rows;
        bytes += waiter.bytes;
        if (taken.length > 0 && (rows > maxRows || bytes > maxBytes)) return;
        this.#remove(waiter, band, "dispatched");
        taken.push(waiter);
        if (rows >= maxRows || bytes >= maxBytes) return;
        this.#selection.only = waiter.bound.shapeKey;
      }
    }
  }

  #causeAtEntry(waiter: Waiting<P, B>, band: Band<P, B>, now: number): LeaveCause | undefined {
    const { request } = waiter;
    if (request.cancellation.reason !== undefined) return "cancelled";
    const rules = this.#rules;
    if (rules === undefined) {
      if (this.#length >= this.#maxQueue) return "full";
    } else {
      this.#noteRegime(now);
      waiter.predictedTokens = rules.predictedTokens(request, waiter.bound);
      waiter.ahead = this.#ahead(band);
      waiter.departedBefore = this.#departed(band);
      if (this.#isFull(waiter, rules) && !this.#makeRoom(waiter, rules)) return "full";
      const { maxRequests, maxBytes, maxTokens } = band.rules;
      if (band.length >= maxRequests || exceeds(band.bytes, waiter.bytes, maxBytes)) return "band-full";
      if (exceeds(band.tokens, waiter.predictedTokens, maxTokens)) return "band-full";
    }
    return this.#expiresAt(waiter, band) <= now ? this.#expiryCause(waiter, now) : undefined;
  }

  #isFull({ bytes, predictedTokens }: Waiting<P, B>, rules: LineRules): boolean {
    if (this.#length >= rules.maxRequests) return true;
    return (
      exceeds(this.#bytes, bytes, rules.maxBytes) || exceeds(this.#tokens, predictedTokens, rules.maxTokens)
    );
  }

  /** Sheddable requests leave for one that is not. True where there is room then. */
  #makeRoom(waiter: Waiting<P, B>, rules: LineRules): boolean {
    if (!rules.displaces || waiter.priority < 0) return false;
    for (let index = this.#bands.length - 1; index >= 0; index--) {
      const band = this.#bands[index];
      if (band === undefined || band.priority >= 0) return false;
      for (let last = band.tail(); last !== undefined; last = band.tail()) {
        this.#leave(last, band, "displaced");
        if (!this.#isFull(waiter, rules)) return true;
      }
    }
    return false;
  }

  #refuseAtEntry(waiter: Waiting<P, B>, band: Band<P, B>, cause: LeaveCause, now: number): void {
    const reason = this.#failure(waiter, band, cause, now);
    this.#rules?.observer.refused(waiter, cause, this.#clock.now() - now);
    this.#tell(waiter, reason);
  }

  #leave(waiter: Waiting<P, B>, band: Band<P, B>, cause: LeaveCause): void {
    const { reason } = this.#takeOut(waiter, band, cause);
    this.#tell(waiter, reason);
  }

  #takeOut(waiter: Waiting<P, B>, band: Band<P, B>, cause: LeaveCause): Leaver<P, B> {
    const reason = this.#failure(waiter, band, cause, this.#clock.now());
    this.#remove(waiter, band, cause);
    return { waiter, reason };
  }

  #tell(waiter: Waiting<P, B>, reason: Failure): void {
    this.#onRefused(reason);
    waiter.refuse(reason);
  }

  #remove(waiter: Waiting<P, B>, band: Band<P, B>, outcome: LineOutcome): void {
    const now = this.#rules === undefined ? 0 : this.#clock.now();
    band.remove(waiter, now, outcome === "dispatched" ? "chosen" : "leaves");
    waiter.request.cancellation.listen(undefined);
    this.#length--;
    this.#rows -= waiter.bound.rows;
    this.#bytes -= waiter.bytes;
    this.#tokens -= waiter.predictedTokens;
    if (this.#rules === undefined) return;
    if (outcome === "dispatched") this.#rate.count(now);
    this.#rules.observer.left(waiter, outcome, now);
  }

  #bandOf(wanted: number): Band<P, B> {
    const { lowest, highest } = priorityRange;
    const priority = this.#rules?.bandOf(wanted) ?? Math.max(lowest, Math.min(highest, Math.trunc(wanted)));
    let index = 0;
    for (; index < this.#bands.length; index++) {
      const band = this.#bands[index];
      if (band === undefined || band.priority < priority) break;
      if (band.priority === priority) return band;
    }
    const band = new Band<P, B>(priority, this.#rules?.rulesOf(priority) ?? plainBand, this.#selection);
    this.#bands.splice(index, 0, band);
    return band;
  }

  #failure(waiter: Waiting<P, B>, band: Band<P, B>, cause: LeaveCause, now: number): Failure {
    const rules = this.#rules;
    if (rules === undefined) return plainFailure(cause);
    const passed = this.#departed(band) - waiter.departedBefore;
    return rules.refusal(cause, this.#standingAt(Math.max(1, waiter.ahead + 1 - passed), now));
  }

  #standingAt(position: number, now: number): Standing {
    const perMs = this.#rate.perMs(now);
    return { position, waitMs: perMs === undefined ? undefined : position / perMs };
  }

  /** Requests that go before one that joins this band now, as far as priorities say. */
  #ahead(own: Band<P, B>): number {
    let ahead = 0;
    for (const band of this.#bands) {
      ahead += band.length;
      if (band === own) break;
    }
    return ahead;
  }

  /** Requests that have left this band and those above it. */
  #departed(own: Band<P, B>): number {
    let departed = 0;
    for (const band of this.#bands) {
      departed += band.departures;
      if (band === own) break;
    }
    return departed;
  }

  #expiresAt(waiter: Waiting<P, B>, band: Band<P, B>): number {
    if (this.#regimeSince === -Infinity) return waiter.deadline;
    const ttlMs = this.#isEmptyPool ? (this.#rules?.noEndpointTtlMs ?? Infinity) : band.rules.ttlMs;
    const since = Math.max(waiter.enqueuedAt, this.#regimeSince);
    return Math.min(waiter.request.deadline, since + ttlMs);
  }

  #expiryCause({ request }: Waiting<P, B>, now: number): LeaveCause {
    return this.#isEmptyPool && request.deadline > now ? "no-endpoints" : "expired";
  }

  /** The time that requests may wait is another while the pool has no endpoint, and counts anew when that changes. */
  #noteRegime(now: number): void {
    const rules = this.#rules;
    if (rules === undefined || rules.isEmpty() === this.#isEmptyPool) return;
    this.#isEmptyPool = !this.#isEmptyPool;
    this.#regimeSince = now;
    this.#watchAll(now);
  }

  #watchAll(now: number): void {
    this.#expiry.stop();
    let earliest = Infinity;
    for (const band of this.#bands) {
      band.each((waiter) => void (earliest = Math.min(earliest, this.#expiresAt(waiter, band))));
    }
    this.#expiry.watch(earliest, now, this.#length);
  }

  #expire(): void {
    const now = this.#clock.now();
    this.#noteRegime(now);
    const late: Leaver<P, B>[] = [];
    for (const band of this.#bands) {
      const due: Waiting<P, B>[] = [];
      band.each((waiter) => {
        if (this.#expiresAt(waiter, band) <= now) due.push(waiter);
      });
      for (const waiter of due) late.push(this.#takeOut(waiter, band, this.#expiryCause(waiter, now)));
    }
    this.#watchAll(now);
    for (const { waiter, reason } of late) this.#tell(waiter, reason);
  }
}

/** One that is larger than the bound alone gets in where nothing else waits. */
function exceeds(held: number, more: number, bound: number): boolean {
  return held > 0 && held + more > bound;
}

function plainFailure(cause: LeaveCause): Failure {
  if (cause === "cancelled") return failure("client_gone");
  return failure(cause === "full" ? "queue_full" : "queue_timeout", undefined, 1_000);
}
