/** Models on this machine as the edge endpoint asks them about a picture. */
import type { Cancellation } from "../core/cancellation.ts";
import type { Detector, LocalAnswer } from "../core/detector.ts";
import type { Caller } from "../core/request.ts";
import type { Failure } from "../core/errors.ts";

/** How a model's classes become a detector's answers. */
export interface LabelMapping {
  /** BINARY: labels of the model that mean YES; all others mean NO. Undefined: label or index 0 is YES, as Groundlight has it. */
  readonly yes?: readonly string[];
  /** Labels of the model that mean UNCLEAR. */
  readonly unclear?: readonly string[];
}

/** What answers a detector here. */
export interface LocalModel {
  /** Name in the model repository, or of a pool's model. */
  readonly name: string;
  /** Undefined: the repository's choice. */
  readonly version: string | undefined;
  /** A model that tells pictures unlike all that the first one knows; undefined: none. */
  readonly outOfDomain: string | undefined;
  readonly labels: LabelMapping;
  /** Groundlight's inference server that answers in place of a model of this gateway; absent: none. */
  readonly server?: InferenceServerAddress | undefined;
}

/** Where an inference server listens: `http://host:8000`. */
export interface InferenceServerAddress {
  readonly url: string;
  /** Of a second one that tells pictures unlike all that the first one's model knows; undefined: none. */
  readonly outOfDomainUrl: string | undefined;
}

/** Whether a model can answer now. */
export interface LocalModelState {
  readonly ready: boolean;
  /** Why not; empty when it is. */
  readonly reason: string;
  /** The version that would answer; undefined when none. */
  readonly version: string | undefined;
}

/** One question to a local model. */
export interface LocalQuestion {
  readonly detector: Detector;
  readonly model: LocalModel;
  readonly picture: Uint8Array;
  readonly mediaType: string;
  readonly caller: Caller;
  readonly requestId: string;
  /** No answer after so long is a failure `queue_timeout` or `upstream_timeout`. */
  readonly timeoutMs: number;
  readonly cancellation: Cancellation;
}

/** Models on this machine. */
export interface LocalInference {
  state(model: LocalModel): LocalModelState;
  /** `confidence` equals `rawConfidence` here save for out-of-domain detection: calibration is the asker's. Never rejects. */
  infer(question: LocalQuestion): Promise<LocalAnswer | Failure>;
}
