/**
 * What the edge endpoint keeps over restarts. Records are JSON texts that the store does not look into. A promised write is
 * acknowledged after it has reached the disk; what is written behind may lose the last 100 ms when power fails. Reads see every
 * write asked for before them. Nothing throws and nothing hangs: a disk that is full, a database that is damaged and a
 * thread that died are `storage_unavailable`, a bound that is reached `queue_full` or `overloaded`.
 */
import type { Failure } from "../core/errors.ts";

/** A detector as the cloud told it or configuration named it. */
export interface StoredDetector {
  readonly id: string;
  /** JSON text. */
  readonly record: string;
}

/** An image query and, once there is one, its result. */
export interface StoredQuery {
  /** Letters, digits, `_` and `-`, at most 100 characters. */
  readonly id: string;
  readonly detectorId: string;
  /** Milliseconds since the Unix epoch; orders lists and the ring. */
  readonly createdAt: number;
  /** JSON text. */
  readonly record: string;
}

/** A label that somebody gave to an image query. */
export interface StoredLabel {
  readonly id: string;
  readonly queryId: string;
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
  /** JSON text. */
  readonly record: string;
}

/** The bytes of a picture as they came in. */
export interface StoredPicture {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

/** A picture for the store. */
export interface PictureToStore extends StoredPicture {
  /**
   * The caller has no further use for the bytes: where they fill a buffer of their own its memory moves to the store and is
   * empty afterwards. Without it the bytes are copied, 1 ms for several MB. Default false.
   */
  readonly handOver?: boolean;
}

/** Something the cloud must get: an image query, or a label. */
export interface Escalation {
  /** The id of the query or label; a second one of the same id changes nothing. */
  readonly id: string;
  readonly detectorId: string;
  /** What is to be sent, such as `query` or `label`. */
  readonly kind: string;
  /** JSON text with all that is needed to send it. */
  readonly payload: string;
  /** Of the image query `id`. Not where there is none to send or it is stored already. */
  readonly picture?: PictureToStore;
  /** Written in the same commit. */
  readonly query?: StoredQuery;
}

/** What became of an escalation that was handed in: `settled` has been sent or given up before. */
export type Enqueued = "queued" | "already_queued" | "settled";

/** An escalation to send now. */
export interface ClaimedEscalation {
  readonly id: string;
  readonly detectorId: string;
  readonly kind: string;
  readonly payload: string;
  /** Attempts that were postponed before. */
  readonly attempts: number;
  /** Milliseconds since the Unix epoch. */
  readonly enqueuedAt: number;
  /** Undefined where it had none, or where `pictureLost`. */
  readonly picture: StoredPicture | undefined;
  /** The picture was stored and is missing or differs from what was stored. */
  readonly pictureLost: boolean;
}

/** What can be sent now. */
export interface Claim {
  readonly items: readonly ClaimedEscalation[];
  /** Milliseconds since the Unix epoch when the next waiting one may be sent; undefined when none waits for a time. */
  readonly nextAt: number | undefined;
}

/** An escalation that was given up. */
export interface RejectedEscalation {
  readonly id: string;
  readonly detectorId: string;
  readonly kind: string;
  readonly payload: string;
  readonly reason: string;
  readonly attempts: number;
  /** Milliseconds since the Unix epoch. */
  readonly rejectedAt: number;
}

/** Fill of the outbox. */
export interface OutboxState {
  readonly waiting: number;
  readonly bytes: number;
  readonly rejected: number;
  /** When the oldest one waiting came; undefined when empty. */
  readonly oldestAt: number | undefined;
}

/** The outbox: what the cloud must get, in order for each detector, over restarts and power cuts. */
export interface EscalationOutbox {
  /** Promised, with the picture. `queue_full` when the outbox holds its bytes. */
  enqueue(escalation: Escalation): Promise<Enqueued | Failure>;
  /**
   * At most `limit` escalations, in turn over detectors, the oldest of each; one of a detector is out at a time, so that
   * its order holds. A claimed one stays claimed until it is settled, postponed or released, or the process ends.
   */
  claim(limit: number): Promise<Claim | Failure>;
  /** The cloud has it. `query` is written in the same commit. Promised. */
  acknowledge(id: string, query?: StoredQuery): Promise<undefined | Failure>;
  /** It could not be sent: not before `notBefore` (ms since the epoch), and the rest of its detector not before it. Promised. */
  postpone(id: string, notBefore: number): Promise<undefined | Failure>;
  /** Gives a claim back without an attempt counted. */
  release(id: string): Promise<undefined | Failure>;
  /** It can never be sent: kept with the reason among the last ones given up. Promised. */
  reject(id: string, reason: string): Promise<undefined | Failure>;
  /** The last ones given up, newest first. */
  rejected(limit: number): Promise<readonly RejectedEscalation[] | Failure>;
  state(): Promise<OutboxState | Failure>;
}

/** Escalations of a detector that count against a budget, and when the last one was, for its cooldown. */
export interface Spending {
  readonly detectorId: string;
  /** Such as `2026-01`; one budget's counter. */
  readonly period: string;
  readonly escalations: number;
  /** Milliseconds since the Unix epoch. */
  readonly lastAt: number;
}

/** Counters of a detector in an hour. */
export interface Activity {
  readonly detectorId: string;
  /** Hours since the Unix epoch. */
  readonly hour: number;
  readonly name: string;
  readonly value: number;
}

/** Which image queries to list. */
export interface QueryListing {
  readonly detectorId?: string;
  readonly offset: number;
  /** At most 1,000. */
  readonly limit: number;
}

/** One page of image queries, newest first. */
export interface QueryPage {
  readonly queries: readonly StoredQuery[];
  /** Of all pages. */
  readonly total: number;
}

/** Why the cloud gave an answer that the edge gave too: it was asked about every unsure one, or about a sample of the sure ones. */
export type ComparedKind = "escalation" | "audit";

/** An answer of the edge and whether the cloud's was the same. */
export interface ComparedAnswer {
  readonly kind: ComparedKind;
  /** As the model gave it, 0 to 1. */
  readonly confidence: number;
  readonly agreed: boolean;
  /** Against the others of its kind: how many answers it stands for. Above 0. */
  readonly weight: number;
}

/** Comparisons to keep. */
export interface ComparedAnswers {
  readonly detectorId: string;
  /** Name and version of the model that answered, as one text: what is known of one says nothing of another. */
  readonly model: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly pairs: readonly ComparedAnswer[];
  /** Answers of each kind since the last call, whether or not they were compared. */
  readonly answers: Readonly<Record<ComparedKind, number>>;
}

/** Which comparisons to read. */
export interface ComparedListing {
  readonly detectorId: string;
  readonly model: string;
  readonly kind: ComparedKind;
  /** `next` of the page before; undefined for the newest. */
  readonly before: number | undefined;
  /** Milliseconds since the Unix epoch: none older; undefined: all that are kept. */
  readonly since?: number | undefined;
}

/** Up to 4,096 comparisons, newest first, as columns. */
export interface ComparedPage {
  readonly confidence: Float64Array;
  /** 1 where the cloud agreed. */
  readonly agreed: Uint8Array;
  readonly weight: Float64Array;
  /** Undefined: there are no older ones. */
  readonly next: number | undefined;
  /** Answers of this kind, compared or not, since the model's first. */
  readonly answers: number;
}

/** A calibration of one model for one detector. */
export interface StoredCalibration {
  readonly detectorId: string;
  readonly model: string;
  /** Milliseconds since the Unix epoch. */
  readonly fittedAt: number;
  /** JSON text. */
  readonly record: string;
}

/** What calibrations are made from, and the calibrations. Of each model the newest comparisons are kept. */
export interface CalibrationStore {
  /** Written behind. */
  keepPairs(compared: ComparedAnswers): void;
  pairs(listing: ComparedListing): Promise<ComparedPage | Failure>;
  /** Promised; in place of an earlier one of the model. */
  keep(calibration: StoredCalibration): Promise<undefined | Failure>;
  /** The newest of all detectors, newest first, at most 2,000. */
  all(): Promise<readonly StoredCalibration[] | Failure>;
}

/** What was lost or refused since the start, for metrics. */
export interface StoreCounters {
  /** Written-behind records that a failure cost. */
  readonly lostRecords: number;
  /** Pictures that the ring's rate kept out. */
  readonly skippedPictures: number;
  /** Times the thread was started again. */
  readonly restarts: number;
}

/** The durable state of the edge endpoint. One process at a time owns it. */
export interface EdgeStore {
  readonly outbox: EscalationOutbox;
  readonly calibrations: CalibrationStore;
  readonly counters: StoreCounters;
  /** Promised. */
  keepDetector(detector: StoredDetector): Promise<undefined | Failure>;
  forgetDetector(id: string): Promise<undefined | Failure>;
  detectors(): Promise<readonly StoredDetector[] | Failure>;
  /** Written behind; a later one of the same id replaces it. */
  keepQuery(query: StoredQuery): void;
  query(id: string): Promise<StoredQuery | undefined | Failure>;
  queries(listing: QueryListing): Promise<QueryPage | Failure>;
  /** Promised, as is the picture of the query from here on where it is still there. */
  keepLabel(label: StoredLabel): Promise<undefined | Failure>;
  labels(queryId: string): Promise<readonly StoredLabel[] | Failure>;
  /** Promised: for pictures of audits. Those of escalations go with `enqueue`. */
  keepPicture(queryId: string, picture: PictureToStore): Promise<undefined | Failure>;
  /** Written behind into the ring of recent pictures; false where the ring's rate keeps it out. */
  offerPicture(queryId: string, picture: PictureToStore): boolean;
  picture(queryId: string): Promise<StoredPicture | undefined | Failure>;
  /** Adds to a budget's counter and moves the time of the last escalation. Promised. */
  spend(spending: Spending): Promise<undefined | Failure>;
  /** All counters kept. */
  spending(): Promise<readonly Spending[] | Failure>;
  /** Adds to counters of an hour since the Unix epoch, without one of the current hour. Written behind. */
  count(detectorId: string, added: Readonly<Record<string, number>>, hour?: number): void;
  /** Counters from `fromHour` up to and with `toHour`, at most 50,000. */
  activity(fromHour: number, toHour: number): Promise<readonly Activity[] | Failure>;
  /** Writes what waits and ends the thread. Idempotent. */
  close(): Promise<void>;
}
