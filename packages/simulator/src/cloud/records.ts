/** What a simulated cloud knows of callers, queries and labels. */
import type { Fields } from "../faces/fields.ts";
import type { CloudRoi } from "./cloud-options.ts";

/** A token that is good. */
export interface TokenRecord {
  readonly token: string;
  readonly name: string;
  readonly account: string;
  readonly email: string;
  readonly isSuperuser: boolean;
  /** Seconds; null: no end. */
  readonly ttlSeconds: number | null;
  readonly createdAt: number;
  /** Milliseconds since the Unix epoch; null: never. */
  readonly expiresAt: number | null;
  lastUsedAt: number | null;
}

/** Whether a person is to look. */
export type HumanReview = "DEFAULT" | "ALWAYS" | "NEVER";

/** An answer with everything decided. */
export interface DecidedAnswer {
  readonly label: string;
  readonly machineLabel: string;
  readonly confidence: number;
  readonly rois: readonly CloudRoi[] | null;
}

/** A query that was received. */
export interface CloudQuery {
  readonly id: string;
  readonly detectorId: string;
  readonly account: string;
  /** Name of the token that brought it. */
  readonly token: string;
  /** Milliseconds since the Unix epoch. */
  readonly receivedAt: number;
  /** On the simulator's clock. */
  readonly startedAt: number;
  /** The query string as it came. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly metadata: Fields | null;
  readonly inspectionId: string | undefined;
  /** Seconds. */
  readonly patienceTime: number;
  readonly confidenceThreshold: number;
  readonly humanReview: HumanReview;
  readonly wantAsync: boolean;
  readonly contentType: string;
  readonly pictureBytes: number;
  /** Of the picture, hex. */
  readonly sha256: string;
  readonly answer: DecidedAnswer;
  /** How often it was sent: more than one is a repetition that made no second query. */
  sent: number;
  /** `X-Request-Id` of each time, the last 16. */
  readonly requestIds: string[];
  /** Undefined once its bytes are forgotten. */
  picture: Buffer | undefined;
  label: CloudLabel | undefined;
}

/** A label that was given to a query. */
export interface CloudLabel {
  readonly queryId: string;
  readonly detectorId: string;
  readonly label: string;
  readonly rois: readonly CloudRoi[] | null;
  /** Milliseconds since the Unix epoch. */
  readonly receivedAt: number;
  /** Name of the token that brought it. */
  readonly token: string;
}
