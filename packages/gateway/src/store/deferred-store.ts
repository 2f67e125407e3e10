/**
 * A store that opens its data directory when it is first needed, and again after a while where that failed: a gateway whose
 * data directory cannot be had answers all the same, and makes no folder that nobody needs.
 */
import type {
  CalibrationStore,
  EdgeStore,
  Enqueued,
  Escalation,
  EscalationOutbox,
  PictureToStore,
  StoreCounters,
  StoredQuery,
} from "../contracts/edge-store.ts";
import type { Clock } from "../core/clock.ts";
import { failure, isFailure, type Failure } from "../core/errors.ts";

/** What it needs. */
export interface DeferredStoreParts {
  readonly open: () => Promise<EdgeStore | Failure>;
  readonly clock: Clock;
  /** Called with a problem when nothing can be kept, and without one when it can again. */
  readonly onState: (problem: Failure | undefined) => void;
  /** Called whenever the outbox has taken an escalation. */
  readonly onQueued?: () => void;
  /** Between two attempts to open, ms. Default 10,000. */
  readonly retryMs?: number;
}

/** What has not been counted by a store yet. */
const noCounters: StoreCounters = { lostRecords: 0, skippedPictures: 0, restarts: 0 };

/** An `EdgeStore` over one that may not be there. */
export class DeferredStore implements EdgeStore {
  readonly outbox: EscalationOutbox;
  readonly calibrations: CalibrationStore;
  readonly #parts: DeferredStoreParts;
  #store: EdgeStore | undefined;
  #opening: Promise<EdgeStore | Failure> | undefined;
  #problem: Failure | undefined;
  #failedAt = 0;
  #isClosed = false;
  #holdsPicture = false;

  constructor(parts: DeferredStoreParts) {
    this.#parts = parts;
    this.outbox = {
      enqueue: (escalation) => this.#with<Enqueued>((store) => this.#enqueue(store, escalation)),
      claim: (limit) => this.#with((store) => store.outbox.claim(limit)),
      acknowledge: (id, query) => this.#with((store) => store.outbox.acknowledge(id, query)),
      postpone: (id, notBefore) => this.#with((store) => store.outbox.postpone(id, notBefore)),
      release: (id) => this.#with((store) => store.outbox.release(id)),
      reject: (id, reason) => this.#with((store) => store.outbox.reject(id, reason)),
      rejected: (limit) => this.#with((store) => store.outbox.rejected(limit)),
      state: () => this.#with((store) => store.outbox.state()),
    };
    this.calibrations = {
      keepPairs: (compared) =>
        void this.#with((store) => Promise.resolve(store.calibrations.keepPairs(compared))),
      pairs: (listing) => this.#with((store) => store.calibrations.pairs(listing)),
      keep: (calibration) => this.#with((store) => store.calibrations.keep(calibration)),
      all: () => this.#with((store) => store.calibrations.all()),
    };
  }

  /** Why nothing can be kept, by the last call; undefined where it can, or where nothing had to be yet. */
  get problem(): Failure | undefined {
    return this.#problem;
  }

  /** Opens it now. */
  async open(): Promise<undefined | Failure> {
    const store = await this.#opened();
    return isFailure(store) ? store : undefined;
  }

  get counters(): StoreCounters {
    return this.#store?.counters ?? noCounters;
  }

  keepDetector(...input: Parameters<EdgeStore["keepDetector"]>): ReturnType<EdgeStore["keepDetector"]> {
    return this.#with((store) => store.keepDetector(...input));
  }

  forgetDetector(...input: Parameters<EdgeStore["forgetDetector"]>): ReturnType<EdgeStore["forgetDetector"]> {
    return this.#with((store) => store.forgetDetector(...input));
  }

  detectors(): ReturnType<EdgeStore["detectors"]> {
    return this.#with((store) => store.detectors());
  }

  keepQuery(query: StoredQuery): void {
    if (this.#store !== undefined) this.#store.keepQuery(query);
    else void this.#with((store) => Promise.resolve(store.keepQuery(query)));
  }

  query(id: string): ReturnType<EdgeStore["query"]> {
    return this.#with((store) => store.query(id));
  }

  queries(...input: Parameters<EdgeStore["queries"]>): ReturnType<EdgeStore["queries"]> {
    return this.#with((store) => store.queries(...input));
  }

  keepLabel(...input: Parameters<EdgeStore["keepLabel"]>): ReturnType<EdgeStore["keepLabel"]> {
    return this.#with((store) => store.keepLabel(...input));
  }

  labels(queryId: string): ReturnType<EdgeStore["labels"]> {
    return this.#with((store) => store.labels(queryId));
  }

  keepPicture(...input: Parameters<EdgeStore["keepPicture"]>): ReturnType<EdgeStore["keepPicture"]> {
    return this.#with((store) => store.keepPicture(...input));
  }

  /** While the store opens the first picture waits for it, so that the first query has one; the others are passed over. */
  offerPicture(queryId: string, picture: PictureToStore): boolean {
    if (this.#store !== undefined) return this.#store.offerPicture(queryId, picture);
    if (this.#holdsPicture || this.#isClosed || this.#problem !== undefined) return false;
    this.#holdsPicture = true;
    const held = { bytes: Uint8Array.from(picture.bytes), mediaType: picture.mediaType, handOver: true };
    void this.#with((store) => Promise.resolve(store.offerPicture(queryId, held))).then(
      () => (this.#holdsPicture = false),
    );
    return true;
  }

  picture(queryId: string): ReturnType<EdgeStore["picture"]> {
    return this.#with((store) => store.picture(queryId));
  }

  spend(...input: Parameters<EdgeStore["spend"]>): ReturnType<EdgeStore["spend"]> {
    return this.#with((store) => store.spend(...input));
  }

  spending(): ReturnType<EdgeStore["spending"]> {
    return this.#with((store) => store.spending());
  }

  count(...input: Parameters<EdgeStore["count"]>): void {
    if (this.#store !== undefined) this.#store.count(...input);
    else void this.#with((store) => Promise.resolve(store.count(...input)));
  }

  activity(...input: Parameters<EdgeStore["activity"]>): ReturnType<EdgeStore["activity"]> {
    return this.#with((store) => store.activity(...input));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const store = await this.#opening;
    if (store !== undefined && !isFailure(store)) await store.close();
  }

  async #enqueue(store: EdgeStore, escalation: Escalation): Promise<Enqueued | Failure> {
    const queued = await store.outbox.enqueue(escalation);
    if (queued === "queued") this.#parts.onQueued?.();
    return queued;
  }

  async #with<T>(use: (store: EdgeStore) => Promise<T | Failure>): Promise<T | Failure> {
    const store = this.#store ?? (await this.#opened());
    if (isFailure(store)) return store;
    const answer = await use(store);
    this.#noteAnswer(answer);
    return answer;
  }

  /** An open store says by its answers whether its disk can be used. */
  #noteAnswer(answer: unknown): void {
    const failed = typeof answer === "object" && answer !== null && isFailure(answer) ? answer : undefined;
    if (failed !== undefined && failed.code !== "storage_unavailable") return;
    const before = this.#problem;
    this.#problem = failed;
    if ((failed === undefined) !== (before === undefined)) this.#parts.onState(failed);
  }

  /** One attempt at a time; none soon after one that failed. */
  #opened(): Promise<EdgeStore | Failure> {
    const { clock, retryMs = 10_000 } = this.#parts;
    if (this.#isClosed) return Promise.resolve(failure("storage_unavailable", "The store is closed"));
    if (this.#problem !== undefined && clock.now() - this.#failedAt < retryMs)
      return Promise.resolve(this.#problem);
    this.#opening ??= this.#parts.open().then((store) => this.#tried(store));
    return this.#opening;
  }

  #tried(store: EdgeStore | Failure): EdgeStore | Failure {
    const before = this.#problem;
    if (isFailure(store)) {
      this.#opening = undefined;
      this.#problem = store;
      this.#failedAt = this.#parts.clock.now();
      if (before === undefined) this.#parts.onState(store);
      return store;
    }
    this.#problem = undefined;
    this.#store = store;
    if (before !== undefined) this.#parts.onState(undefined);
    return store;
  }
}
