/** Keeps the models of all detectors in use up to date: several at once, each with its own pace and its own troubles. */
import { resolve } from "node:path";
import type { EdgeObserver } from "../../contracts/edge-observer.ts";
import type { Inspect, Snapshot } from "../../contracts/inspect.ts";
import type { LocalModel } from "../../contracts/local-inference.ts";
import type { ManagedModels } from "../../contracts/managed-models.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import type { ErrorCode } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import { DetectorUpdate, type UpdateDeps, type UpdateLimits, type UpdateState } from "./detector-update.ts";
import { emptyModel, KeptModels, modelNameOf, type KeptModel } from "./kept-models.ts";
import { ModelInstaller } from "./model-installer.ts";
import { firstOffer, type DetectorInUse, type ModelSource } from "./model-source.ts";
import type { SmokeTestParts } from "./smoke-test.ts";
import { reasonOf } from "./transfer-failure.ts";

/** What it needs. */
export interface ModelUpdaterOptions extends SmokeTestParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly models: ManagedModels;
  /** Asked in order; the first that offers something wins. */
  readonly sources: readonly ModelSource[];
  /** Detectors that answer here and whose model the configuration does not name. */
  readonly inUse: () => readonly DetectorInUse[];
  /** What answers a detector from now on; undefined: nothing here. */
  readonly serve: (detectorId: string, model: LocalModel | undefined) => void;
  /** How often each detector's sources are asked, ms. Read anew each time. */
  readonly refreshMs: () => number;
  /** PEM certificates of the authorities trusted for packages; undefined: those that Node trusts. */
  readonly ca: string | undefined;
  readonly limits: UpdaterLimits;
}

/** How a detector's update stands. */
export interface UpdateStatus {
  readonly state: UpdateState;
  /** For people; empty when all is well. */
  readonly reason: string;
  /** The source's version that is on its way; undefined: none. */
  readonly wanted: string | undefined;
  /** When the state began, milliseconds since the Unix epoch. */
  readonly since: number;
}

/** Bounds. */
export interface UpdaterLimits extends UpdateLimits {
  /** Detectors that are looked after at once. */
  readonly parallel: number;
  /** Bytes of all models on the disk. */
  readonly diskBytes: number;
  /** Models of detectors that nobody has used for so long are deleted, ms. */
  readonly unusedMs: number;
}

/** What suits an edge box. */
export const defaultUpdaterLimits: UpdaterLimits = {
  parallel: 4,
  packageBytes: 512 * 2 ** 20,
  diskBytes: 4 * 2 ** 30,
  stallMs: 30_000,
  downloadMs: 3_600_000,
  graceMs: 15_000,
  probationMs: 86_400_000,
  unusedMs: 7 * 86_400_000,
};

const tickMs = 1_000;
const longestPauseMs = 3_600_000;
const tidyEveryMs = 3_600_000;
/** Detectors become known while the gateway starts: nothing is given up before. */
const tidyFirstMs = 120_000;
/** A first look comes within so long, so that many detectors do not ask at once, ms. */
const firstSpreadMs = 2_000;
const maxShown = 1_000;

/** Failures that are the model's, not of the load or of the picture. */
const modelFaults: ReadonlySet<ErrorCode> = new Set([
  "model_failed",
  "model_crashed",
  "model_unavailable",
  "invalid_tensor",
  "bad_upstream_answer",
  "upstream_timeout",
]);

interface Looked {
  readonly update: DetectorUpdate;
  nextAt: number;
  running: boolean;
}

/** All detectors' updates. */
export class ModelUpdater implements Inspect {
  /** To be told of what happens at the edge. */
  readonly observer: EdgeObserver;
  readonly #options: ModelUpdaterOptions;
  readonly #files: KeptModels;
  readonly #installer: ModelInstaller;
  readonly #deps: UpdateDeps;
  /** By model name. */
  readonly #looked = new Map<string, Looked>();
  #kept = new Map<string, KeptModel>();
  #running = 0;
  #tidyAt: number;
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: ModelUpdaterOptions) {
    this.#options = options;
    const { clock, logger, models, random } = options;
    this.#files = new KeptModels(resolve(models.directory));
    this.#installer = new ModelInstaller(clock);
    this.#tidyAt = clock.now() + tidyFirstMs;
    this.#deps = {
      clock,
      logger,
      models,
      ca: options.ca,
      limits: options.limits,
      store: options.store,
      local: options.local,
      serve: options.serve,
      source: firstOffer(options.sources),
      installer: this.#installer,
      files: this.#files,
      session: random.id(),
      makeRoom: (bytes, name) => this.#makeRoom(bytes, name),
    };
    this.observer = {
      answered: ({ detectorId, local, failure }) => {
        if (local !== undefined)
          this.#updateOf(detectorId, local.model.name)?.asked(local.model.version, false);
        else if (failure !== undefined && modelFaults.has(failure))
          this.#updateOf(detectorId, undefined)?.asked(undefined, true);
      },
      compared: ({ detectorId, edge, agreed, kind }) =>
        this.#updateOf(detectorId, edge.model.name)?.compared(
          edge.model.version,
          agreed,
          edge.confidence,
          kind !== "escalation",
        ),
      delivered() {},
    };
  }

  /** Reads what is on the disk and begins. Never rejects; the models' repository must have been started. */
  async start(): Promise<void> {
    try {
      this.#kept = await this.#files.readAll();
    } catch (error) {
      this.#options.logger.error("edge_models_unreadable", { reason: reasonOf(error) });
    }
    this.#tick();
  }

  /** Looks after a detector at once, as when it has just become known. */
  wake(detectorId: string): void {
    const looked = this.#looked.get(modelNameOf(detectorId) ?? "");
    if (looked !== undefined) looked.nextAt = -Infinity;
    this.#launch();
  }

  /** How one detector's update stands; undefined: no model is looked for. */
  statusOf(detectorId: string): UpdateStatus | undefined {
    const looked = this.#looked.get(modelNameOf(detectorId) ?? "");
    if (looked === undefined) return undefined;
    const { state, reason, since, wanted } = looked.update;
    return { state, reason, since, wanted };
  }

  /** Ends what runs; downloads are gone on with after the next start. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    for (const { update } of this.#looked.values()) update.close();
    await this.#installer.close();
  }

  inspect(): Snapshot {
    const shown = [...this.#looked.values()].slice(0, maxShown);
    return {
      detectors: shown.map((looked) => this.#show(looked)),
      notShown: this.#looked.size - shown.length,
      diskBytes: this.#diskBytes(),
    };
  }

  #show({ update, nextAt, running }: Looked): Snapshot {
    const { progress, state, reason, since, failures } = update;
    const { kept, serving } = update.versions;
    return {
      detectorId: kept.detectorId,
      state,
      reason,
      since,
      failures,
      serving:
        serving === undefined
          ? null
          : {
              version: serving.version,
              offered: serving.offered,
              source: serving.source,
              since: kept.servingSince,
            },
      previous: kept.previous ?? null,
      progress:
        progress === undefined ? null : { received: progress.received, total: progress.total ?? null },
      nextCheckMs: running ? null : Math.max(0, Math.round(nextAt - this.#options.clock.now())),
      bad: kept.bad.map(({ contentId, reason: why, at }) => ({ contentId, reason: why, at })),
    };
  }

  #updateOf(detectorId: string, model: string | undefined): DetectorUpdate | undefined {
    const name = detectorId.toLowerCase();
    return model === undefined || model === name ? this.#looked.get(name)?.update : undefined;
  }

  #tick(): void {
    if (this.#closed) return;
    this.#follow();
    this.#launch();
    const { clock } = this.#options;
    if (clock.now() >= this.#tidyAt) {
      this.#tidyAt = clock.now() + tidyEveryMs;
      void this.#tidy().catch((error: unknown) =>
        this.#options.logger.warn("edge_models_not_tidied", { reason: reasonOf(error) }),
      );
    }
    this.#timer = clock.after(tickMs, () => this.#tick());
  }

  /** Begins with detectors that are new, and ends with those that are gone. */
  #follow(): void {
    const { clock, random, inUse } = this.#options;
    const now = clock.wallNow();
    const seen = new Set<string>();
    for (const subject of inUse()) {
      const name = modelNameOf(subject.detector.id);
      if (name === undefined) continue;
      seen.add(name);
      const looked = this.#looked.get(name);
      if (looked !== undefined) {
        looked.update.subject = subject;
        continue;
      }
      const kept = this.#kept.get(name) ?? emptyModel(subject.detector.id, now);
      this.#kept.set(name, kept);
      const update = new DetectorUpdate(this.#deps, name, subject, kept);
      const isServed = kept.serving !== undefined;
      const nextAt = isServed ? clock.now() : clock.now() + random.unit() * firstSpreadMs;
      this.#looked.set(name, { update, nextAt, running: false });
    }
    for (const [name, { update }] of this.#looked) {
      if (seen.has(name)) continue;
      this.#looked.delete(name);
      update.retire().catch((error: unknown) => {
        this.#options.logger.warn("edge_model_not_retired", { model: name, reason: reasonOf(error) });
      });
    }
  }

  #launch(): void {
    const now = this.#options.clock.now();
    for (const looked of this.#looked.values()) {
      if (this.#closed || this.#running >= this.#options.limits.parallel) return;
      if (looked.running || looked.nextAt > now) continue;
      looked.running = true;
      this.#running++;
      void looked.update.run().then(() => {
        looked.running = false;
        this.#running--;
        looked.nextAt = this.#options.clock.now() + this.#pauseAfter(looked.update);
        this.#launch();
      });
    }
  }

  /** The refresh interval, a tenth more or less; twice as long after each failure in a row, at most an hour. */
  #pauseAfter({ failures, retryAfterMs = 0 }: DetectorUpdate): number {
    const { refreshMs, random } = this.#options;
    const pause = Math.min(refreshMs() * 2 ** Math.min(failures, 20), Math.max(longestPauseMs, refreshMs()));
    return Math.max(pause, retryAfterMs) * (0.9 + 0.2 * random.unit());
  }

  #diskBytes(): number {
    let bytes = 0;
    for (const { versions } of this.#kept.values()) for (const version of versions) bytes += version.bytes;
    return bytes;
  }

  /** Gives up versions that only a rollback would need, and models that nobody uses, oldest first. */
  async #makeRoom(bytes: number, forModel: string): Promise<string | undefined> {
    const { diskBytes } = this.#options.limits;
    const isFull = (): boolean => this.#diskBytes() + bytes > diskBytes;
    if (!isFull()) return undefined;
    const unused = [...this.#kept].filter(([name]) => !this.#looked.has(name));
    for (const [name] of unused.sort(([, a], [, b]) => a.lastInUseAt - b.lastInUseAt)) {
      if (isFull()) await this.#remove(name);
    }
    for (const [name, { update }] of this.#looked) {
      if (isFull() && name !== forModel && update.state !== "warming")
        await update.versions.prune([update.versions.kept.serving]);
    }
    if (!isFull()) return undefined;
    return `the disk may hold ${diskBytes} bytes of models, and ${this.#diskBytes()} are in use`;
  }

  async #remove(name: string): Promise<void> {
    this.#kept.delete(name);
    await this.#files.remove(name);
  }

  /** Notes who is in use; deletes models that nobody has used for long. */
  async #tidy(): Promise<void> {
    const now = this.#options.clock.wallNow();
    for (const [name, kept] of this.#kept) {
      if (this.#looked.has(name)) {
        if (kept.versions.length === 0 || now - kept.lastInUseAt < tidyEveryMs) continue;
        kept.lastInUseAt = now;
        await this.#files.write(name, kept);
      } else if (now - kept.lastInUseAt > this.#options.limits.unusedMs) await this.#remove(name);
    }
  }
}
