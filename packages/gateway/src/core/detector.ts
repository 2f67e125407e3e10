/**
 * Groundlight's nouns as the core knows them: detectors, image queries, results. Fields are those of the public API
 * (OpenAPI 0.18 of the Groundlight cloud) in our spelling; `dialects/groundlight` has the wire's.
 */

/** Values that JSON can say. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/** A JSON object. */
export type JsonObject = Readonly<Record<string, JsonValue>>;

/** What a detector answers. */
export const detectorModes = ["BINARY", "COUNT", "MULTI_CLASS", "TEXT", "BOUNDING_BOX"] as const;

/** One of `detectorModes`. */
export type DetectorMode = (typeof detectorModes)[number];

/** What a mode needs beside the question. Absent fields do not belong to the mode or are not bounded. */
export interface ModeConfiguration {
  /** MULTI_CLASS: the answers, in the order of the model's outputs. */
  readonly classNames?: readonly string[];
  /** COUNT and BOUNDING_BOX: what is looked for. */
  readonly className?: string;
  /** COUNT: more is answered as this and `greaterThanMax`. 1 to 50. */
  readonly maxCount?: number;
  /** BOUNDING_BOX: 1 to 50. */
  readonly maxNumBboxes?: number;
  /** TEXT: characters, 1 to 250. */
  readonly valueMaxLength?: number;
}

/** A question with a model and a threshold. */
export interface Detector {
  /** `det_` and 27 letters and digits. Its case as the cloud writes it; compared without regard to case. */
  readonly id: string;
  readonly name: string;
  readonly query: string;
  readonly mode: DetectorMode;
  readonly modeConfiguration: ModeConfiguration;
  readonly groupName: string;
  /** Below it an answer counts as unsure; 0 to 1. */
  readonly confidenceThreshold: number;
  /** Seconds, 0 to 3600. */
  readonly patienceTime: number;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  readonly status: "ON" | "OFF";
  readonly escalationType: "STANDARD" | "NO_HUMAN_LABELING";
  readonly metadata: JsonObject | null;
  /** `configuration`: made here, the cloud need not know it. `cloud`: learnt from it. */
  readonly origin: "configuration" | "cloud";
}

/** A box around something, in shares of the picture's width and height, 0 to 1. */
export interface Roi {
  readonly label: string;
  /** 0 to 1. */
  readonly score: number;
  readonly geometry: {
    readonly left: number;
    readonly top: number;
    readonly right: number;
    readonly bottom: number;
  };
}

/** What is said of a picture, by the detector's mode. */
export type Finding =
  | { readonly mode: "BINARY"; readonly label: "YES" | "NO" | "UNCLEAR" }
  | { readonly mode: "COUNT"; readonly count: number | null; readonly greaterThanMax: boolean }
  /** A class name, or `UNCLEAR`. */
  | { readonly mode: "MULTI_CLASS"; readonly label: string }
  | {
      readonly mode: "BOUNDING_BOX";
      readonly label: "NO_OBJECTS" | "BOUNDING_BOX" | "GREATER_THAN_MAX" | "UNCLEAR";
    }
  | { readonly mode: "TEXT"; readonly text: string | null; readonly truncated: boolean };

/** A finding, how sure it is and whose it is. */
export interface QueryResult {
  readonly finding: Finding;
  /** 0 to 1; null where nobody says. */
  readonly confidence: number | null;
  /**
   * Who found it, in the API's words: `STILL_PROCESSING`, `CLOUD`, `USER`, `CLOUD_ENSEMBLE`, `ALGORITHM`, `AI_CLOUD`,
   * `AI_CLOUD_ENSEMBLE`, `HUMAN_AI_CLOUD_ENSEMBLE`, `EDGE`; another one of a newer cloud is kept as it is.
   */
  readonly source: string;
  /** True only for answers of the edge. */
  readonly fromEdge: boolean | null;
}

/** A question put once, with its answer as far as it is known. */
export interface ImageQuery {
  /** `iq_` and 27 letters and digits. */
  readonly id: string;
  readonly detectorId: string;
  readonly mode: DetectorMode;
  readonly query: string;
  /** ISO 8601, UTC, with milliseconds. */
  readonly createdAt: string;
  /** Null while nothing is known, and for one that is answered later. */
  readonly result: QueryResult | null;
  /** Seconds. */
  readonly patienceTime: number;
  readonly confidenceThreshold: number;
  readonly rois: readonly Roi[] | null;
  readonly text: string | null;
  /** False: a better answer may come. */
  readonly doneProcessing: boolean;
  readonly metadata: JsonObject | null;
}

/** Whether a person in the cloud is to look. */
export const humanReviews = ["DEFAULT", "ALWAYS", "NEVER"] as const;

/** One of `humanReviews`. */
export type HumanReview = (typeof humanReviews)[number];

/** A question as a caller puts it, checked, without its picture. */
export interface QuerySubmission {
  /** As the caller wrote it. */
  readonly detectorId: string;
  /** Undefined: the detector's. Seconds. */
  readonly patienceTime: number | undefined;
  /** Undefined: the detector's. */
  readonly confidenceThreshold: number | undefined;
  readonly humanReview: HumanReview;
  readonly wantAsync: boolean;
  readonly metadata: JsonObject | undefined;
  readonly inspectionId: string | undefined;
  /** Chosen by the caller; undefined: made here. */
  readonly imageQueryId: string | undefined;
}

/** Why a picture goes to the cloud. A closed union: the values are metric labels. */
export const escalationReasons = [
  /** The edge's answer is below the threshold. */
  "unsure",
  /** A sample of the sure answers, to check them. */
  "audit",
  /** The caller asks for a person. */
  "human_review",
  /** No model of this detector can answer here: none configured, not loaded, in a format that cannot run. */
  "no_local_model",
  /** The local model failed on this picture. */
  "local_failure",
  /** The local model did not answer within its deadline. */
  "local_timeout",
  /** The detector is not to be answered here. */
  "disabled",
] as const;

/** One of `escalationReasons`. */
export type EscalationReason = (typeof escalationReasons)[number];

/** Why a picture that would have gone to the cloud stayed here, or waits. */
export const withheldReasons = [
  "cooldown",
  "budget",
  "no_cloud",
  "cloud_unreachable",
  "cloud_failed",
  "queue_full",
] as const;

/** One of `withheldReasons`. */
export type WithheldReason = (typeof withheldReasons)[number];

/** What a local model says of a picture. */
export interface LocalAnswer {
  readonly finding: Finding;
  /** After out-of-domain detection and calibration; 0 to 1. What decides. */
  readonly confidence: number;
  /** As the model itself gave it. */
  readonly rawConfidence: number;
  /** How likely the picture is unlike all the model knows; undefined without such a model. 0 to 1. */
  readonly outOfDomain: number | undefined;
  /** Of every class, in the model's order; undefined where it gives none. */
  readonly probabilities: readonly number[] | undefined;
  readonly rois: readonly Roi[] | null;
  readonly text: string | null;
  /** Name and version that really answered, not what was asked for. */
  readonly model: { readonly name: string; readonly version: string };
  readonly computeMs: number | undefined;
}

/** True for two ids of one detector: ids are compared without regard to case. */
export function isSameDetector(a: string, b: string): boolean {
  return a.length === b.length && a.toLowerCase() === b.toLowerCase();
}
