/** How a simulated Groundlight cloud is set up. Everything but `truth` can be written as JSON. */

/** What a detector answers. */
export const detectorModes = ["BINARY", "COUNT", "MULTI_CLASS", "TEXT", "BOUNDING_BOX"] as const;

/** One of `detectorModes`. */
export type CloudMode = (typeof detectorModes)[number];

/** A box around something, in shares of the picture's width and height, 0 to 1. */
export interface CloudRoi {
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

/** What is to be said of a picture. */
export interface CloudAnswer {
  /** A class name, YES or NO, a count, or the text that is read. */
  readonly label: string | number;
  /** Of the machine's answer, 0 to 1. Default: by the seed, 0.5 to 1. */
  readonly confidence?: number;
  /** What the machine says before a person looks. Default: `label`. */
  readonly machineLabel?: string | number;
  readonly rois?: readonly CloudRoi[];
}

/** What the truth is asked about. */
export interface CloudQuestion {
  readonly queryId: string;
  readonly detectorId: string;
  readonly detectorName: string;
  readonly mode: CloudMode;
  readonly picture: Buffer;
  /** SHA-256 of the picture, hex. */
  readonly sha256: string;
  /** What the caller sent along. */
  readonly metadata: Readonly<Record<string, unknown>> | null;
}

/** A trained model as the cloud hands it to edge devices. */
export interface CloudModel {
  /** Id of the binary. Default: made from the bytes. */
  readonly id?: string;
  /** The binary; `file` is read when the model is published. Neither: a model without a binary (zero-shot). */
  readonly bytes?: Uint8Array;
  /** A path. */
  readonly file?: string;
  /** YAML. Default `generic-cached-timm-efficientnet_b0_knn`, a pipeline's name. */
  readonly pipelineConfig?: string;
  /** Out-of-domain detection beside it. Default: none. */
  readonly oodd?: Pick<CloudModel, "id" | "bytes" | "file" | "pipelineConfig">;
  /** Default false. */
  readonly minimalCompatible?: boolean;
}

/** A detector that is there from the start. A text is a binary detector's name and query. */
export interface CloudDetectorSpec {
  /** `det_` and 27 letters and digits. Default: made from the name. */
  readonly id?: string;
  readonly name: string;
  /** Default: the name. */
  readonly query?: string;
  /** Default BINARY. */
  readonly mode?: CloudMode;
  /** `class_names`, `class_name`, `max_count`, `max_num_bboxes`, `value_max_length`, by mode. */
  readonly modeConfiguration?: Readonly<Record<string, unknown>>;
  /** Default 0.9. */
  readonly confidenceThreshold?: number;
  /** Seconds. Default 30. */
  readonly patienceTime?: number;
  /** The account it belongs to; other accounts' tokens are refused. Default: the first token's. */
  readonly account?: string;
  /** Detector group. Default `Default`. */
  readonly groupName?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly model?: CloudModel;
}

/** A token that callers may show. A text is a token of the account `default`. */
export interface CloudTokenSpec {
  readonly token: string;
  /** Default `token 1`, `token 2` … */
  readonly name?: string;
  /** What the API calls the group of `/v1/me`. Default `default`. */
  readonly account?: string;
  /** Default `user@example.com`. */
  readonly email?: string;
  readonly isSuperuser?: boolean;
  /** Lifetime that is said of tokens, seconds; clients rotate theirs. Default: none, no rotation. */
  readonly ttlSeconds?: number;
}

/** A simulated Groundlight cloud. Times are in milliseconds of the simulator's clock. */
export interface CloudOptions {
  /** Default: one binary detector, `door`. */
  readonly detectors?: readonly (CloudDetectorSpec | string)[];
  /** Default: none, and any token is taken as one of the account `default`. */
  readonly tokens?: readonly (CloudTokenSpec | string)[];
  /** Says what is in a picture; undefined leaves it to `labels` and the seed. Must be quick and may not throw. */
  truth?(question: CloudQuestion): CloudAnswer | undefined;
  /** Answers by the SHA-256 of a picture, hex, where they answer the detector's question. */
  readonly labels?: Readonly<Record<string, string | number | CloudAnswer>>;
  /** Until then a query is STILL_PROCESSING. Default 0: the first answer has the machine's result. */
  readonly answerAfterMs?: number;
  /** After the machine's answer a person gives theirs, where one is due. Default: nobody looks. */
  readonly reviewAfterMs?: number;
  /** Between a request, which counts at once, and its answer. Default 0. */
  readonly latencyMs?: number;
  /** So many requests of a token in such a time; more are answered 429 with `Retry-After`. Default: no bound. */
  readonly throttle?: { readonly requests: number; readonly perMs: number };
  /** The account's monthly bounds as it is told. Default: none. */
  readonly limits?: {
    readonly iqs?: number;
    readonly escalations?: number;
    readonly activeDetectors?: number;
  };
  /** How many queries are kept; the oldest go first. Default 10,000. */
  readonly maxQueries?: number;
  /** Bytes of pictures that are kept; the oldest go first. Default 64 MiB. */
  readonly maxPictureBytes?: number;
  /** How long the address of a model file is good. Default 1 hour. */
  readonly modelUrlTtlMs?: number;
}

/** The longest body that is taken, bytes. */
export const MAX_CLOUD_BODY_BYTES = 10 * 1024 * 1024;
