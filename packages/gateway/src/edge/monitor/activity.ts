/** What all detectors have done, counted where it happens and written behind. */
import type {
  AgreementObservation,
  DeliveryObservation,
  QueryObservation,
} from "../../contracts/edge-observer.ts";
import type { Activity as StoredActivity } from "../../contracts/edge-store.ts";
import type { Finding } from "../../core/detector.ts";
import { confidenceBucket, latencyBucket, placeOf, type Counters } from "./counters.ts";
import { DetectorActivity, type Unwritten } from "./detector-activity.ts";

/** Detectors that are counted apart; all further ones share `otherDetectors`. */
export const maxDetectors = 200;

/** Stands for the detectors beyond the bound. */
const otherDetectors = "other";

const place = {
  queries: placeOf("queries"),
  queued: placeOf("queued"),
  below: placeOf("below"),
  failed: placeOf("failed"),
  confidence: placeOf("confidence.0"),
  latency: placeOf("latency.0"),
  local: placeOf("local.0"),
} as const;

/** Classes of which each detector's hour has counts of its own; there are as many as models have. */
const maxClassLength = 60;

/** The counts of every detector. */
export class Activity {
  /** All of them together: counts at fixed places, no last times. */
  readonly all = new DetectorActivity();
  readonly #detectors = new Map<string, DetectorActivity>();

  /** Ids of the detectors that were counted. */
  get ids(): readonly string[] {
    return [...this.#detectors.keys()];
  }

  /** The counts of a detector; undefined for one that was never counted. */
  find(detectorId: string): DetectorActivity | undefined {
    return this.#detectors.get(detectorId);
  }

  /** Counts an image query. */
  answered(observation: QueryObservation): void {
    const { at, answeredBy, withheld, local, failure } = observation;
    const detector = this.#of(observation.detectorId);
    const counters = detector.at(at);
    counters.add(place.queries);
    counters.addNamed(`answered.${answeredBy}`);
    counters.add(place.latency + latencyBucket(observation.latencyMs));
    detector.touch(at, "query");
    detector.tick(at, "queries");
    if (withheld !== undefined) counters.addNamed(`withheld.${withheld}`);
    if (failure !== undefined) {
      counters.add(place.failed);
      counters.addNamed(`failure.${failure}`);
      detector.touch(at, "failure");
      detector.tick(at, "failures");
    }
    if (local !== undefined) countLocal(detector, counters, observation);
    if (observation.escalation !== undefined) countEscalation(detector, counters, observation);
  }

  /** Counts an answer of the cloud beside one of the edge. */
  compared({ detectorId, at, kind, agreed }: AgreementObservation): void {
    this.#of(detectorId)
      .at(at)
      .addNamed(`${agreed ? "agreed" : "differed"}.${kind}`);
  }

  /** Counts what became of something sent. */
  delivered({ detectorId, at, outcome }: DeliveryObservation): void {
    this.#of(detectorId).at(at).addNamed(`delivery.${outcome}`);
  }

  /** Takes a counter that an earlier process wrote. */
  restore({ detectorId, hour, name, value }: StoredActivity, wallMs: number): void {
    this.#of(detectorId).restore(hour, name, value, wallMs);
  }

  /** Gives what the store does not have yet, a detector at a time. */
  drain(wallMs: number, write: (detectorId: string, unwritten: Unwritten) => void): void {
    for (const [id, detector] of this.#detectors)
      if (!detector.idle) for (const each of detector.drain(wallMs)) write(id, each);
    this.all.drain(wallMs);
  }

  #of(detectorId: string): DetectorActivity {
    const known = this.#detectors.get(detectorId);
    if (known !== undefined) return known;
    const id = this.#detectors.size < maxDetectors ? detectorId : otherDetectors;
    let detector = this.#detectors.get(id);
    if (detector === undefined) this.#detectors.set(id, (detector = new DetectorActivity(this.all)));
    return detector;
  }
}

function countLocal(
  detector: DetectorActivity,
  counters: Counters,
  { at, local, threshold }: QueryObservation,
): void {
  if (local === undefined) return;
  const { finding, confidence, latencyMs } = local;
  const bucket = confidenceBucket(confidence);
  const label = classOf(finding);
  counters.add(place.confidence + bucket);
  counters.add(place.local + latencyBucket(latencyMs));
  counters.addNamed(`class.${label}`);
  counters.addNamed(`bucket${bucket}.${label}`);
  if (confidence >= threshold) return;
  counters.add(place.below);
  counters.addNamed(`belowClass.${label}`);
  detector.touch(at, "below");
}

function countEscalation(
  detector: DetectorActivity,
  counters: Counters,
  { at, escalation, local }: QueryObservation,
): void {
  if (escalation === undefined) return;
  const { reason, how } = escalation;
  counters.addNamed(`escalation.${reason}`);
  if (how === "queued") counters.add(place.queued);
  const isAudit = reason === "audit";
  detector.touch(at, isAudit ? "audit" : "escalation");
  detector.tick(at, isAudit ? "audits" : "escalations");
  if (local !== undefined && !isAudit) counters.addNamed(`escalatedClass.${classOf(local.finding)}`);
}

/** A finding in a word or two, as classes are counted and shown. */
export function classOf(finding: Finding): string {
  switch (finding.mode) {
    case "BINARY":
    case "BOUNDING_BOX":
      return finding.label;
    case "MULTI_CLASS":
      return finding.label.slice(0, maxClassLength);
    case "COUNT":
      return finding.count === null ? "unknown" : `${finding.count}${finding.greaterThanMax ? "+" : ""}`;
    case "TEXT":
      return finding.text === null || finding.text === "" ? "no text" : "text";
  }
}
