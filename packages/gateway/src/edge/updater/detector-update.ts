/** The model of one detector: looks for a newer one, fetches it, tries it beside the old one, swaps, and goes back. */
import type { ManagedModels } from "../../contracts/managed-models.ts";
import type { LocalModel, LocalModelState } from "../../contracts/local-inference.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import type { InstallJob, InstallProgress, Installed } from "./install-package.ts";
import { noteBad, type KeptModel, type KeptModels, type KeptVersion } from "./kept-models.ts";
import type { Installation, ModelInstaller } from "./model-installer.ts";
import type { DetectorInUse, ModelOffer, ModelSource } from "./model-source.ts";
import { ModelVersions } from "./model-versions.ts";
import { smokeTest, type SmokeTestParts } from "./smoke-test.ts";
import { isTransferFailure, reasonOf, type TransferFailure } from "./transfer-failure.ts";
import { faultOf, VersionWatch } from "./version-watch.ts";

/** Where an update stands. `serving`: there is a model and nothing is amiss. */
export type UpdateState =
  | "idle"
  | "checking"
  | "downloading"
  | "verifying"
  | "warming"
  | "serving"
  | "failed"
  | "unsupported"
  | "rolled_back";

/** Bounds and times. */
export interface UpdateLimits {
  /** Largest package, and what is in it, bytes. */
  readonly packageBytes: number;
  /** A connection without a byte for so long is given up, ms. */
  readonly stallMs: number;
  /** A download that takes longer is given up until the next check, ms. What has arrived is kept. */
  readonly downloadMs: number;
  /** How long the version before stays loaded after a swap, ms: for what was asked of it just before. */
  readonly graceMs: number;
  /** How long after a swap the new version is compared with the one before, ms. */
  readonly probationMs: number;
}

/** What all updates share. */
export interface UpdateDeps extends SmokeTestParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly source: ModelSource;
  readonly installer: ModelInstaller;
  readonly models: ManagedModels;
  readonly files: KeptModels;
  readonly limits: UpdateLimits;
  /** PEM certificates of the authorities trusted for packages. */
  readonly ca: string | undefined;
  /** Names the process. */
  readonly session: string;
  /** What answers the detector from now on; undefined: nothing here. */
  readonly serve: (detectorId: string, model: LocalModel | undefined) => void;
  /** Makes room for so many bytes on the disk; why there is none. */
  readonly makeRoom: (bytes: number, forModel: string) => Promise<string | undefined>;
}

/** Versions that come up or pass their test in none of so many tries are bad. */
const maxTrials = 2;

/** One detector's. */
export class DetectorUpdate {
  /** Its model on the disk. */
  readonly versions: ModelVersions;
  state: UpdateState = "idle";
  /** For people; empty when all is well. */
  reason = "";
  /** Since when it is in its state, ms since the Unix epoch. */
  since: number;
  progress: InstallProgress | undefined;
  /** The source's version that is on its way; undefined: none. */
  wanted: string | undefined;
  /** Checks that failed in a row. */
  failures = 0;
  /** What the source asked for after the last failure, ms. */
  retryAfterMs: number | undefined;
  /** The detector as it was last in use. */
  subject: DetectorInUse;
  readonly #deps: UpdateDeps;
  #watch = new VersionWatch();
  #installation: Installation | undefined;
  /** Swaps and rollbacks, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #isRollingBack = false;
  /** Why the version that would serve was taken back; told until there is another one. */
  #takenBack: string | undefined;
  #resumed = false;
  /** Its version answers: failures before that are not the version's. */
  #isAnswering = false;
  #closed = false;

  constructor(deps: UpdateDeps, name: string, subject: DetectorInUse, kept: KeptModel) {
    this.#deps = deps;
    this.subject = subject;
    this.versions = new ModelVersions(deps, name, kept);
    this.since = deps.clock.wallNow();
  }

  /** Serves what is on the disk, the first time; then looks for something newer and swaps to it. Never rejects. */
  async run(): Promise<void> {
    try {
      if (!this.#resumed) await this.#inTurn(() => this.#resume());
      this.#resumed = true;
      if (!this.#closed) await this.#check();
    } catch (error) {
      this.#fail(reasonOf(error));
    }
  }

  /** Ends a download. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#installation?.cancel();
  }

  /** The detector is no longer in use: its processes end, its files stay for a while. */
  async retire(): Promise<void> {
    this.close();
    await this.#inTurn(async () => {
      this.#deps.serve(this.subject.detector.id, undefined);
      await this.#load([], undefined);
    });
  }

  /** The model was asked about a picture; of another version than the one that serves it counts nothing. */
  asked(version: string | undefined, failed: boolean): void {
    if (!this.#isAnswering || (version !== undefined && version !== this.versions.kept.serving)) return;
    this.#watch.asked(failed);
    this.#judge();
  }

  /** Somebody else's answer became known. */
  compared(version: string, agreed: boolean, confidence: number, isCheck: boolean): void {
    if (version !== this.versions.kept.serving) return;
    this.#watch.compared(agreed, confidence, isCheck);
    this.#judge();
  }

  #enter(state: UpdateState, reason = ""): void {
    if (state !== "downloading" && state !== "verifying") this.progress = undefined;
    if (this.state !== state) this.since = this.#deps.clock.wallNow();
    this.state = state;
    this.reason = reason.slice(0, 1_000);
  }

  #fail(reason: string, retryAfterMs?: number): void {
    if (this.#closed) return;
    this.failures++;
    this.retryAfterMs = retryAfterMs;
    this.#enter("failed", reason);
    const detector = this.subject.detector.id;
    this.#deps.logger.warn("edge_model_update_failed", { detector, reason, failures: this.failures });
  }

  #settle(state: UpdateState, reason = ""): void {
    this.failures = 0;
    this.retryAfterMs = undefined;
    this.#enter(state, reason);
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(action);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** What served before a restart serves again; where it does not come up, another one that is there. */
  async #resume(): Promise<void> {
    const { kept } = this.versions;
    const order = [kept.serving, kept.previous].filter((one) => this.versions.find(one) !== undefined);
    for (const version of order) {
      if (version === undefined || this.#closed) continue;
      this.#enter("warming");
      await this.#load([version], version);
      const { ready, reason } = this.#stateOf(version);
      if (ready) {
        await this.#fallTo(version);
        this.#tellServing();
        return this.#settle("serving");
      }
      this.#enter("failed", reason);
    }
  }

  /** Where it is not the version that served, that one is damaged: it is fetched again. */
  async #fallTo(version: string): Promise<void> {
    const damaged = this.versions.serving;
    if (damaged === undefined || damaged.version === version) return;
    this.versions.kept.serving = version;
    delete this.versions.kept.previous;
    await this.versions.drop(damaged);
  }

  async #check(): Promise<void> {
    this.#enter("checking");
    const offer = await this.#deps.source.latest(this.subject, (contentId) => this.versions.isBad(contentId));
    if (this.#closed) return;
    if (offer.kind === "failed") return this.#fail(offer.reason, offer.retryAfterMs);
    if (offer.kind === "offer") return this.#take(offer);
    if (this.#isServing()) return this.#settleServing(offer.reason);
    if (offer.kind === "unsupported") return this.#settle("unsupported", offer.reason);
    // A bad version explains more than that there is none.
    const last = this.versions.kept.bad.at(-1);
    if (last !== undefined) return this.#settle("failed", last.reason);
    this.#settle("idle", offer.reason);
  }

  #settleServing(reason: string): void {
    if (this.#takenBack !== undefined) this.#settle("rolled_back", this.#takenBack);
    else this.#settle("serving", reason);
  }

  #isServing(): boolean {
    const { serving } = this.versions.kept;
    return serving !== undefined && this.#stateOf(serving).ready;
  }

  async #take(offer: ModelOffer): Promise<void> {
    if (offer.contentId === this.versions.serving?.contentId && this.#isServing())
      return this.#settleServing("");
    this.wanted = offer.version;
    try {
      const there = this.versions.ofContent(offer.contentId);
      const version = there ?? (await this.#install(offer));
      this.versions.pending = version?.version;
      if (version !== undefined && !this.#closed) await this.#inTurn(() => this.#activate(version));
    } finally {
      this.wanted = undefined;
      this.versions.pending = undefined;
    }
  }

  async #install(offer: ModelOffer): Promise<KeptVersion | undefined> {
    const { limits, clock } = this.#deps;
    const noRoom = await this.#deps.makeRoom(offer.bytes ?? 0, this.versions.name);
    if (noRoom !== undefined) return this.#refuse(noRoom);
    const version = await this.versions.nextNumber(offer.version);
    this.versions.pending = version;
    this.#enter("downloading");
    const deadline = clock.after(limits.downloadMs, () => this.#installation?.cancel());
    const installed = await this.#download(offer, version);
    deadline.cancel();
    if (isTransferFailure(installed)) {
      if (installed.isFinal) await this.versions.remember(offer.contentId, installed.reason);
      return this.#refuse(installed.reason, installed.retryAfterMs);
    }
    return this.versions.add(offer, version, installed.unpackedBytes);
  }

  #refuse(reason: string, retryAfterMs?: number): undefined {
    this.#fail(reason, retryAfterMs);
    return undefined;
  }

  #download(offer: ModelOffer, version: string): Promise<Installed | TransferFailure> {
    const { limits, files, ca, session, installer } = this.#deps;
    const { url, contentId, sha256, bytes } = offer;
    const job: InstallJob = {
      repository: files.folder,
      model: this.versions.name,
      version,
      url,
      contentId,
      sha256,
      bytes,
      ca,
      session,
      maxBytes: limits.packageBytes,
      stallMs: limits.stallMs,
    };
    return new Promise((done) => {
      this.#installation = installer.install(job, {
        progress: (progress) => {
          this.#enter(progress.phase);
          this.progress = progress;
        },
        done: (answer) => {
          this.#installation = undefined;
          done(answer);
        },
      });
      if (this.#closed) this.#installation.cancel();
    });
  }

  /** Loads the version beside the one that serves, tries it, and swaps. */
  async #activate(version: KeptVersion): Promise<void> {
    const { clock, logger } = this.#deps;
    const { kept } = this.versions;
    // It may have been taken back while it was looked up.
    if (this.versions.isBad(version.contentId)) return this.#settleServing("");
    const old = this.#isServing() ? kept.serving : undefined;
    const beside = old === undefined || old === version.version ? [] : [old];
    this.#enter("warming");
    await this.#load([...beside, version.version], old);
    const problem = await this.#tryOut(version);
    if (this.#closed) return;
    if (problem !== undefined) {
      await this.#load(beside, old);
      return this.#reject(version, problem);
    }
    if (old !== undefined && old !== version.version) kept.before = this.#watch.summary;
    if (old !== version.version) kept.previous = old;
    kept.serving = version.version;
    kept.servingSince = clock.wallNow();
    this.#takenBack = undefined;
    this.#watch = new VersionWatch();
    await this.versions.save();
    await this.#load([...beside, version.version], version.version);
    this.#tellServing();
    this.#settle("serving");
    logger.info("edge_model_swapped", { detector: kept.detectorId, from: old, to: version.version });
    this.#letGoLater();
  }

  async #tryOut(version: KeptVersion): Promise<string | undefined> {
    const { ready, reason } = this.#stateOf(version.version);
    if (!ready) return `version ${version.offered} cannot be loaded: ${reason}`;
    const { problem } = await smokeTest(this.#deps, this.subject.detector, this.versions.localModel(version));
    return problem === undefined ? undefined : `version ${version.offered} failed its test ${problem}`;
  }

  async #reject(version: KeptVersion, problem: string): Promise<void> {
    // One that has served before is damaged here; it is fetched again.
    if (version.version === this.versions.kept.serving) await this.versions.drop(version);
    else version.trials++;
    const isBad = version.trials >= maxTrials;
    if (isBad) await this.versions.discard(version, problem);
    else await this.versions.save();
    this.#fail(problem);
    // What is offered beside it is looked at without delay.
    if (isBad) this.failures = 0;
  }

  /** These run, and `preferred` answers. */
  #load(versions: readonly string[], preferred: string | undefined): Promise<void> {
    return this.#deps.models.choose(this.versions.name, { versions, preferred });
  }

  #stateOf(version: string): LocalModelState {
    return this.#deps.models.state(this.versions.name, version);
  }

  /** After the grace, so that what was asked of the version before is still answered. */
  #letGoLater(): void {
    const { clock, limits } = this.#deps;
    clock.after(limits.graceMs, () => void this.#inTurn(() => this.#letGo()).catch(() => {}));
  }

  /** Only the version that serves stays loaded, and only it and the one before stay on the disk. */
  async #letGo(): Promise<void> {
    const { serving, previous } = this.versions.kept;
    if (this.#closed || serving === undefined) return;
    await this.#load([serving], serving);
    await this.versions.prune([serving, previous]);
  }

  #tellServing(): void {
    const version = this.versions.serving;
    this.#isAnswering = version !== undefined;
    if (version !== undefined) this.#deps.serve(this.subject.detector.id, this.versions.localModel(version));
  }

  /** Goes back where the version that serves does worse than the one before it. */
  #judge(): void {
    const { kept } = this.versions;
    const { clock, limits } = this.#deps;
    if (this.#isRollingBack || this.#closed || this.versions.previous === undefined) return;
    if (clock.wallNow() - kept.servingSince > limits.probationMs) return;
    const fault = faultOf(this.#watch.summary, kept.before);
    if (fault === undefined) return;
    this.#isRollingBack = true;
    const bad = kept.serving;
    void this.#inTurn(() => this.#rollBack(bad, fault))
      .catch((error: unknown) => this.#fail(reasonOf(error)))
      .finally(() => (this.#isRollingBack = false));
  }

  async #rollBack(bad: string | undefined, fault: string): Promise<void> {
    const { logger, clock } = this.#deps;
    const { kept } = this.versions;
    const [from, to] = [this.versions.find(bad), this.versions.previous];
    if (from === undefined || to === undefined || kept.serving !== bad || this.#closed) return;
    await this.#load([to.version, from.version], from.version);
    if (!this.#stateOf(to.version).ready) {
      await this.#load([from.version], from.version);
      return logger.warn("edge_model_not_rolled_back", { detector: kept.detectorId, reason: fault });
    }
    const reason = `version ${from.offered} was taken back: ${fault}`;
    this.#takenBack = reason;
    kept.serving = to.version;
    kept.servingSince = clock.wallNow();
    delete kept.previous;
    delete kept.before;
    this.#watch = new VersionWatch();
    noteBad(kept, from.contentId, reason, clock.wallNow());
    await this.versions.save();
    await this.#load([to.version, from.version], to.version);
    this.#tellServing();
    this.#settle("rolled_back", reason);
    logger.warn("edge_model_rolled_back", {
      detector: kept.detectorId,
      from: bad,
      to: to.version,
      reason: fault,
    });
    this.#letGoLater();
  }
}
