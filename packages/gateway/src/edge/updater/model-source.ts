/** Where models for detectors can be had, as a port. */
import type { LabelMapping } from "../../contracts/local-inference.ts";
import type { Detector } from "../../core/detector.ts";

/** A detector for which a model is looked for. */
export interface DetectorInUse {
  readonly detector: Detector;
  /** Token for the cloud in place of the device's; undefined: the device's. Throws where its file cannot be read. */
  readonly token: () => string | undefined;
}

/** A package that can be fetched. */
export interface ModelOffer {
  readonly kind: "offer";
  /** Which source has it, for people. */
  readonly source: string;
  /** The source's version, for people. */
  readonly version: string;
  /** Names the content: the same id is the same package. At most 200 characters. */
  readonly contentId: string;
  /** `http:`, `https:` or `file:`. */
  readonly url: string;
  /** Lower-case hex; undefined: not known. */
  readonly sha256: string | undefined;
  /** Undefined: not known. */
  readonly bytes: number | undefined;
  /** How the model's classes become answers. */
  readonly labels: LabelMapping;
}

/** Why there is no package. */
export interface NoOffer {
  /**
   * - `none`: the source has no model for the detector.
   * - `unsupported`: it has one that cannot run here.
   * - `failed`: it could not be asked.
   */
  readonly kind: "none" | "unsupported" | "failed";
  /** For people, without addresses' queries. */
  readonly reason: string;
  /** For `failed`: the source asks for so long a pause. */
  readonly retryAfterMs?: number | undefined;
}

/** A place that offers models. */
export interface ModelSource {
  /** The best package for a detector now, `isBad` ones left out. Ends within its own deadline; never throws. */
  latest(subject: DetectorInUse, isBad: (contentId: string) => boolean): Promise<ModelOffer | NoOffer>;
}

/** Asks several: the first that offers something wins, else the gravest reason against it. */
export function firstOffer(sources: readonly ModelSource[]): ModelSource {
  return {
    async latest(subject, isBad) {
      let found: NoOffer = { kind: "none", reason: "no source of models is configured" };
      for (const [index, source] of sources.entries()) {
        const answer = await source.latest(subject, isBad);
        if (answer.kind === "offer") return answer;
        if (index === 0 || gravity[answer.kind] > gravity[found.kind]) found = answer;
      }
      return found;
    },
  };
}

const gravity = { none: 0, unsupported: 1, failed: 2 } as const;
