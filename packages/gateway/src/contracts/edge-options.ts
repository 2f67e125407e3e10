/** What the edge endpoint can be told. The configuration's schema is checked against these types. */
import type { Detector } from "../core/detector.ts";
import type { Secret } from "../core/secret.ts";
import type { LocalModel } from "./local-inference.ts";

/** How answers of a detector's local model and of the cloud are put together. Groundlight's `edge_inference_configs`. */
export interface EdgePolicy {
  readonly name: string;
  /** False: the local model is not asked; every query goes to the cloud. */
  readonly enabled: boolean;
  /** The local answer is given however unsure it is. */
  readonly alwaysReturnEdgePrediction: boolean;
  /** Nothing goes to the cloud. Only with `alwaysReturnEdgePrediction`. */
  readonly disableCloudEscalation: boolean;
  /** Pause between escalations that are queued behind an answer, ms. */
  readonly minTimeBetweenEscalationsMs: number;
  /** Token for this detector's cloud calls in place of the device's. */
  readonly apiToken: Secret | undefined;
}

/** A detector that the configuration names. */
export interface EdgeDetectorOptions {
  readonly id: string;
  readonly policy: EdgePolicy;
  /** All of it, so that it works without the cloud; undefined: learnt from the cloud. */
  readonly detector: Detector | undefined;
  /** What answers here; undefined: a model that the updater brings, if any. */
  readonly model: LocalModel | undefined;
  /** How long the local model may take before the cloud is asked, ms. */
  readonly localTimeoutMs: number;
  /** Share of sure answers that are checked by the cloud; undefined: that of all. 0 to 1. */
  readonly auditRate: number | undefined;
  /** Escalations and audits a calendar month (UTC); undefined: no bound. */
  readonly escalationsPerMonth: number | undefined;
  readonly calibration: CalibrationOptions;
}

/** How confidence is brought in line with what the cloud says. */
export interface CalibrationOptions {
  /** `suggest`: fitted and shown, not used. `automatic`: used. */
  readonly mode: "off" | "suggest" | "automatic";
  /** Share of answers given here that the cloud is to agree with, 0 to 1. */
  readonly agreement: number;
}

/** The edge endpoint. */
export interface EdgeOptions {
  /** Undefined: there is no cloud; everything is answered here or refused. */
  readonly cloud: EdgeCloudOptions | undefined;
  /** All that can be named, Groundlight's four among them. */
  readonly policies: readonly EdgePolicy[];
  readonly detectors: readonly EdgeDetectorOptions[];
  /** For detectors that the configuration does not name. */
  readonly defaults: Omit<EdgeDetectorOptions, "id" | "detector" | "model">;
  /** Queries for detectors that the configuration does not name are refused. */
  readonly rejectUnknownDetectors: boolean;
  readonly models: EdgeModelsOptions;
  /** How often the cloud and the index are asked for newer models, ms. */
  readonly refreshMs: number;
  /** Share of sure answers that are checked by the cloud, 0 to 1. */
  readonly auditRate: number;
  /** Escalations and audits a calendar month (UTC) over all detectors; undefined: no bound. */
  readonly escalationsPerMonth: number | undefined;
  /** Bytes of escalations that may wait for the cloud. */
  readonly outboxBytes: number;
  /** Recent pictures that were not escalated: bytes in sum, and bytes a second that are written at most. */
  readonly ring: { readonly bytes: number; readonly bytesPerSecond: number };
}

/** Models that are fetched for detectors. */
export interface EdgeModelsOptions {
  /** Address of an index of packages, `http:`, `https:` or `file:`; undefined: only the cloud offers models. */
  readonly index: string | undefined;
  /** PEM file of the certificate authority for the index and for packages. */
  readonly ca: string | undefined;
  /** Largest package, and what is in it, bytes. */
  readonly packageBytes: number;
  /** All fetched models on the disk, bytes. */
  readonly diskBytes: number;
}

/** How the Groundlight cloud is reached. */
export interface EdgeCloudOptions {
  /** `https://api.groundlight.ai`, without `/device-api`. */
  readonly origin: string;
  /** The device's; undefined: only callers' own tokens are used. */
  readonly token: Secret | undefined;
  /** PEM file of the certificate authority. */
  readonly ca: string | undefined;
  readonly connectTimeoutMs: number;
  /** For an answer that a caller waits for, ms. */
  readonly timeoutMs: number;
}
