/** A simulated Groundlight cloud behind its routes: what it has, what it was sent, what a test may ask and change. */
import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import type { CloudDetectorSpec, CloudModel, CloudOptions } from "./cloud-options.ts";
import { DetectorBook } from "./detectors.ts";
import type { CloudDetector } from "./detectors.ts";
import { QueryBook } from "./image-queries.ts";
import type { CloudLabel, CloudQuery } from "./records.ts";
import { ModelStore } from "./model-store.ts";
import type { CloudCall, Reply } from "./reply.ts";
import { TokenBook } from "./tokens.ts";

/** Metrics that an edge device sent. */
export interface CloudMetrics {
  /** Milliseconds since the Unix epoch. */
  readonly receivedAt: number;
  /** Name of the token that brought them. */
  readonly token: string;
  readonly body: unknown;
}

/** What a test asks and changes. */
export interface CloudInspection {
  /** Every query that is kept, in the order they first came. */
  queries(): readonly CloudQuery[];
  /** The query of an id, with how often it was sent. */
  query(id: string): CloudQuery | undefined;
  /** Every label, in the order they came. */
  labels(): readonly CloudLabel[];
  /** What devices reported, in the order it came. */
  metrics(): readonly CloudMetrics[];
  /** Every detector, oldest first. */
  detectors(): readonly CloudDetector[];
  /** Adds a detector. */
  addDetector(spec: CloudDetectorSpec): CloudDetector;
  /** Makes this the model that edge devices are given for a detector. Throws when its file cannot be read. */
  publishModel(detectorId: string, model: CloudModel): void;
  /** Changes behaviour from now on: only what is named. `detectors`, `tokens` and the bounds stay as they were. */
  set(
    change: Pick<
      CloudOptions,
      "truth" | "labels" | "answerAfterMs" | "reviewAfterMs" | "latencyMs" | "throttle" | "limits"
    >,
  ): void;
  /** Forgets queries, labels and metrics. */
  clear(): void;
}

const MAX_METRICS = 1000;
const DEFAULT_DETECTOR: CloudDetectorSpec = { name: "door", query: "Is the door open?" };

/** The whole state. */
export class Cloud implements CloudInspection {
  readonly tokens: TokenBook;
  readonly detectorBook: DetectorBook;
  readonly queryBook: QueryBook;
  readonly models: ModelStore;
  readonly options: { -readonly [Name in keyof CloudOptions]: CloudOptions[Name] };
  readonly #clock: Clock;
  readonly #metrics: CloudMetrics[] = [];

  constructor(
    options: CloudOptions,
    { clock, random, seed }: { clock: Clock; random: Random; seed: number },
  ) {
    this.options = { ...options };
    this.#clock = clock;
    this.tokens = new TokenBook(options.tokens ?? [], clock, random);
    this.detectorBook = new DetectorBook(clock, random);
    this.models = new ModelStore(clock, options.modelUrlTtlMs);
    this.queryBook = new QueryBook({
      options: this.options,
      detectors: this.detectorBook,
      clock,
      random,
      seed,
    });
    for (const spec of options.detectors ?? [DEFAULT_DETECTOR])
      this.addDetector(typeof spec === "string" ? { name: spec } : spec);
  }

  queries(): readonly CloudQuery[] {
    return this.queryBook.all();
  }

  query(id: string): CloudQuery | undefined {
    return this.queryBook.find(id);
  }

  labels(): readonly CloudLabel[] {
    return this.queryBook.labels();
  }

  metrics(): readonly CloudMetrics[] {
    return this.#metrics;
  }

  detectors(): readonly CloudDetector[] {
    return this.detectorBook.all();
  }

  addDetector(spec: CloudDetectorSpec): CloudDetector {
    const detector = this.detectorBook.add(spec, this.tokens.firstAccount);
    if (spec.model !== undefined) this.publishModel(detector.id, spec.model);
    return detector;
  }

  publishModel(detectorId: string, model: CloudModel): void {
    this.models.publish(detectorId, model);
  }

  set(change: Parameters<CloudInspection["set"]>[0]): void {
    Object.assign(this.options, change);
  }

  clear(): void {
    this.queryBook.clear();
    this.#metrics.length = 0;
  }

  /** `POST /v1/edge/report-metrics`: 200 and an empty object. The last 1,000 are kept. */
  takeMetrics({ body, caller }: CloudCall): Reply {
    this.#metrics.push({ receivedAt: this.#clock.wallNow(), token: caller.name, body });
    if (this.#metrics.length > MAX_METRICS) this.#metrics.shift();
    return { json: {} };
  }

  /** All of it as JSON, pictures left out. */
  snapshot(): object {
    return {
      detectors: this.detectors(),
      queries: this.queries().map((query) => ({ ...query, picture: undefined })),
      labels: this.labels(),
      metrics: this.#metrics,
    };
  }
}
