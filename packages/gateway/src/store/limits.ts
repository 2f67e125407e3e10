/** Bounds of the store. */

/** Every bound of the store, in bytes, milliseconds and rows. */
export interface StoreLimits {
  /** A promised write waits this long for others to share its commit. Default 5. */
  readonly groupMs: number;
  /** Rows that are committed at once without waiting. Default 256. */
  readonly groupRows: number;
  /** Written-behind records wait at most this long. Default 100. */
  readonly behindMs: number;
  /** Operations on their way to the thread. Default 4,096. */
  readonly maxPending: number;
  /** Bytes of pictures on their way to the thread. Default 64 MiB. */
  readonly maxPendingBytes: number;
  /** An operation without an answer fails after this. Default 30,000. */
  readonly answerMs: number;
  /** Default 100,000. */
  readonly maxQueries: number;
  /** Of queries, labels and what was settled. Default 7 days. */
  readonly maxAgeMs: number;
  /** Default 100,000. */
  readonly maxLabels: number;
  /** Default 10,000. */
  readonly maxDetectors: number;
  /** Payloads and pictures that wait for the cloud. Default 2 GB. */
  readonly maxOutboxBytes: number;
  /** Escalations given up that are kept. Default 1,000. */
  readonly maxRejected: number;
  /** Promised pictures beside those of the outbox. Default 2 GB. */
  readonly maxKeptBytes: number;
  /** The ring of other pictures. Default 200 MB. */
  readonly ringBytes: number;
  /** What may be written to the ring a second. Default 1 MB. */
  readonly ringBytesPerSecond: number;
  /** Of activity and spending. Default 90 days. */
  readonly maxActivityAgeMs: number;
  /** Comparisons of one model for one detector that are kept of each kind. Default 20,000. */
  readonly maxPairsOfKind: number;
  /** Comparisons of all detectors; beyond it those of the model that got none for longest go. Default 1,000,000. */
  readonly maxPairs: number;
}

const day = 86_400_000;

/** The defaults named in `StoreLimits`. */
export const defaultStoreLimits: StoreLimits = {
  groupMs: 5,
  groupRows: 256,
  behindMs: 100,
  maxPending: 4_096,
  maxPendingBytes: 64 * 1024 * 1024,
  answerMs: 30_000,
  maxQueries: 100_000,
  maxAgeMs: 7 * day,
  maxLabels: 100_000,
  maxDetectors: 10_000,
  maxOutboxBytes: 2e9,
  maxRejected: 1_000,
  maxKeptBytes: 2e9,
  ringBytes: 200e6,
  ringBytesPerSecond: 1e6,
  maxActivityAgeMs: 90 * day,
  maxPairsOfKind: 20_000,
  maxPairs: 1_000_000,
};
