/** The store of the edge endpoint, through the thread that owns its database. */
import type {
  CalibrationStore,
  EdgeStore,
  Enqueued,
  Escalation,
  EscalationOutbox,
  PictureToStore,
  QueryListing,
  Spending,
  StoreCounters,
  StoredDetector,
  StoredLabel,
  StoredQuery,
} from "../contracts/edge-store.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock } from "../core/clock.ts";
import { isFailure, type Failure } from "../core/errors.ts";
import { defaultStoreLimits, type StoreLimits } from "./limits.ts";
import type { OperationName, Operations } from "./operations.ts";
import { ThreadLink } from "./thread-link.ts";
import { movable } from "./transfer.ts";

/** What the store needs. */
export interface EdgeStoreOptions {
  /** The data directory, made where it is missing: `./.spillway` or what SPILLWAY_DATA says. */
  readonly folder: string;
  /** Wall time of records, back-off and ages. */
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits?: Partial<StoreLimits>;
}

/** Seconds of the ring's rate that may come at once. */
const burstSeconds = 4;

/**
 * Opens the store. Fails with `storage_unavailable` where another process uses the data directory or a newer Spillway wrote
 * it. Where the disk is full or cannot be written the store opens all the same: its calls fail, and it goes on trying.
 */
export async function openEdgeStore(options: EdgeStoreOptions): Promise<EdgeStore | Failure> {
  const limits = { ...defaultStoreLimits, ...options.limits };
  const link = new ThreadLink({ ...options, limits });
  const problem = await link.start();
  if (problem === undefined) return new ThreadedStore(link, options, limits);
  await link.close();
  return problem;
}

class ThreadedStore implements EdgeStore {
  readonly outbox: EscalationOutbox;
  readonly calibrations: CalibrationStore;
  readonly #link: ThreadLink;
  readonly #clock: Clock;
  readonly #limits: StoreLimits;
  #lostRecords = 0;
  #skippedPictures = 0;
  #ringAllowance: number;
  #ringAt: number;
  readonly #countLost: (answer: unknown) => void;

  constructor(link: ThreadLink, { clock }: EdgeStoreOptions, limits: StoreLimits) {
    this.#link = link;
    this.#clock = clock;
    this.#limits = limits;
    this.#ringAllowance = limits.ringBytesPerSecond * burstSeconds;
    this.#ringAt = clock.now();
    const countLost = (answer: unknown): void => {
      if (typeof answer === "object" && answer !== null && isFailure(answer)) this.#lostRecords += 1;
    };
    this.#countLost = countLost;
    this.outbox = {
      enqueue: (escalation) => this.#enqueue(escalation),
      claim: (limit) => this.#ask("claim", limit),
      acknowledge: (id, query) => this.#ask("acknowledge", { id, query }),
      postpone: (id, notBefore) => this.#ask("postpone", { id, notBefore: Math.trunc(notBefore) }),
      release: (id) => this.#ask("release", id),
      reject: (id, reason) => this.#ask("reject", { id, reason }),
      rejected: (limit) => this.#ask("rejected", limit),
      state: () => this.#ask("outboxState", undefined),
    };
    this.calibrations = {
      keepPairs: (compared) => this.#link.callBehind("keepPairs", compared, this.#countLost),
      pairs: (listing) => this.#ask("pairs", listing),
      keep: (calibration) => this.#ask("keepCalibration", calibration),
      all: () => this.#ask("calibrations", undefined),
    };
  }

  get counters(): StoreCounters {
    return {
      lostRecords: this.#lostRecords,
      skippedPictures: this.#skippedPictures,
      restarts: this.#link.restarts,
    };
  }

  keepDetector(detector: StoredDetector): ReturnType<EdgeStore["keepDetector"]> {
    return this.#ask("keepDetector", detector);
  }

  forgetDetector(id: string): ReturnType<EdgeStore["forgetDetector"]> {
    return this.#ask("forgetDetector", id);
  }

  detectors(): ReturnType<EdgeStore["detectors"]> {
    return this.#ask("detectors", undefined);
  }

  keepQuery(query: StoredQuery): void {
    this.#link.callBehind("keepQuery", query, this.#countLost);
  }

  query(id: string): ReturnType<EdgeStore["query"]> {
    return this.#ask("query", id);
  }

  queries(listing: QueryListing): ReturnType<EdgeStore["queries"]> {
    return this.#ask("queries", listing);
  }

  keepLabel(label: StoredLabel): ReturnType<EdgeStore["keepLabel"]> {
    return this.#ask("keepLabel", label);
  }

  labels(queryId: string): ReturnType<EdgeStore["labels"]> {
    return this.#ask("labels", queryId);
  }

  keepPicture(queryId: string, picture: PictureToStore): ReturnType<EdgeStore["keepPicture"]> {
    const bytes = movable(picture.bytes, picture.handOver === true);
    const input = { queryId, picture: { bytes, mediaType: picture.mediaType } };
    return this.#ask("keepPicture", input, bytes);
  }

  offerPicture(queryId: string, picture: PictureToStore): boolean {
    if (!this.#mayWrite(picture.bytes.byteLength)) {
      this.#skippedPictures += 1;
      return false;
    }
    const bytes = movable(picture.bytes, picture.handOver === true);
    const input = { queryId, picture: { bytes, mediaType: picture.mediaType } };
    this.#link.callBehind("offerPicture", input, this.#countLost, bytes.byteLength, bytes.buffer);
    return true;
  }

  /** A picture may go into debt, so that one larger than the rate has its turn too. */
  #mayWrite(bytes: number): boolean {
    const now = this.#clock.now();
    const { ringBytesPerSecond, ringBytes } = this.#limits;
    const earned = ((now - this.#ringAt) / 1_000) * ringBytesPerSecond;
    this.#ringAllowance = Math.min(ringBytesPerSecond * burstSeconds, this.#ringAllowance + earned);
    this.#ringAt = now;
    if (this.#ringAllowance <= 0 || bytes > ringBytes) return false;
    this.#ringAllowance -= bytes;
    return true;
  }

  picture(queryId: string): ReturnType<EdgeStore["picture"]> {
    return this.#ask("picture", queryId);
  }

  spend(spending: Spending): ReturnType<EdgeStore["spend"]> {
    return this.#ask("spend", spending);
  }

  spending(): ReturnType<EdgeStore["spending"]> {
    return this.#ask("spending", undefined);
  }

  count(detectorId: string, added: Readonly<Record<string, number>>, hour?: number): void {
    this.#link.callBehind("count", { detectorId, added, hour }, this.#countLost);
  }

  activity(fromHour: number, toHour: number): ReturnType<EdgeStore["activity"]> {
    return this.#ask("activity", { fromHour, toHour });
  }

  close(): Promise<void> {
    return this.#link.close();
  }

  #enqueue(escalation: Escalation): Promise<Enqueued | Failure> {
    const { picture } = escalation;
    if (picture === undefined) return this.#ask("enqueue", escalation);
    const bytes = movable(picture.bytes, picture.handOver === true);
    const input = { ...escalation, picture: { bytes, mediaType: picture.mediaType } };
    return this.#ask("enqueue", input, bytes);
  }

  #ask<Name extends OperationName>(
    name: Name,
    input: Operations[Name][0],
    moved?: Uint8Array<ArrayBuffer>,
  ): Promise<Operations[Name][1] | Failure> {
    return new Promise((resolve) =>
      this.#link.call(name, input, resolve as (answer: unknown) => void, moved?.byteLength, moved?.buffer),
    );
  }
}
