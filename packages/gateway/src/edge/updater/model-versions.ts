/** The versions of one detector's model on the disk: which serves, which did before, which are bad. */
import type { LocalModel } from "../../contracts/local-inference.ts";
import type { Clock } from "../../core/clock.ts";
import { noteBad, type KeptModel, type KeptModels, type KeptVersion } from "./kept-models.ts";
import type { ModelOffer } from "./model-source.ts";

/** Where the versions are, and what time it is. */
export interface ModelVersionsOptions {
  readonly files: KeptModels;
  readonly clock: Clock;
}

/** Each change is on the disk when its promise resolves; methods reject with what the disk throws. */
export class ModelVersions {
  /** Of the model, and of its files. */
  readonly name: string;
  readonly kept: KeptModel;
  /** A version that is published and not yet tried: it is not pruned. */
  pending: string | undefined;
  readonly #options: ModelVersionsOptions;

  constructor(options: ModelVersionsOptions, name: string, kept: KeptModel) {
    this.#options = options;
    this.name = name;
    this.kept = kept;
  }

  get serving(): KeptVersion | undefined {
    return this.find(this.kept.serving);
  }

  get previous(): KeptVersion | undefined {
    return this.find(this.kept.previous);
  }

  find(version: string | undefined): KeptVersion | undefined {
    return this.kept.versions.find((one) => one.version === version);
  }

  ofContent(contentId: string): KeptVersion | undefined {
    return this.kept.versions.find((one) => one.contentId === contentId);
  }

  isBad(contentId: string): boolean {
    return this.kept.bad.some((bad) => bad.contentId === contentId);
  }

  /** The source's number where it is one and nothing newer is there, so that people meet it again; else the next. */
  async nextNumber(offered: string): Promise<string> {
    const there = await this.#options.files.versionsOnDisk(this.name);
    const highest = Math.max(
      0,
      ...there.map(Number),
      ...this.kept.versions.map(({ version }) => Number(version)),
    );
    const own = /^[1-9]\d{0,13}$/.test(offered) ? Number(offered) : 0;
    return String(own > highest ? own : highest + 1);
  }

  /** One that lies in its folder now; `bytes`: of what is in it. */
  async add(offer: ModelOffer, version: string, bytes: number): Promise<KeptVersion> {
    const { contentId, source, version: offered, labels } = offer;
    const kept: KeptVersion = {
      version,
      contentId,
      source,
      offered,
      bytes,
      labels: {
        ...(labels.yes && { yes: [...labels.yes] }),
        ...(labels.unclear && { unclear: [...labels.unclear] }),
      },
      installedAt: this.#options.clock.wallNow(),
      trials: 0,
    };
    this.kept.versions.push(kept);
    await this.save();
    return kept;
  }

  /** What answers detectors where the version does. */
  localModel({ version, labels }: KeptVersion): LocalModel {
    const { yes, unclear } = labels;
    const mapping = { ...(yes !== undefined && { yes }), ...(unclear !== undefined && { unclear }) };
    return { name: this.name, version, outOfDomain: undefined, labels: mapping };
  }

  save(): Promise<void> {
    return this.#options.files.write(this.name, this.kept);
  }

  /** Deletes all versions but these. */
  async prune(stay: readonly (string | undefined)[]): Promise<void> {
    const { files } = this.#options;
    const there = await files.versionsOnDisk(this.name);
    const gone = there.filter((version) => !stay.includes(version) && version !== this.pending);
    if (gone.length === 0) return;
    this.kept.versions = this.kept.versions.filter(({ version }) => !gone.includes(version));
    if (gone.includes(this.kept.previous ?? "")) delete this.kept.previous;
    await this.save();
    for (const version of gone) await files.removeVersion(this.name, version);
  }

  /** Remembers a package as bad. */
  async remember(contentId: string, reason: string): Promise<void> {
    noteBad(this.kept, contentId, reason, this.#options.clock.wallNow());
    await this.save();
  }

  /** Deletes a version, and remembers its package as bad. */
  async discard(version: KeptVersion, reason: string): Promise<void> {
    await this.remember(version.contentId, reason);
    await this.drop(version);
  }

  /** Deletes a version. */
  async drop({ version }: KeptVersion): Promise<void> {
    this.kept.versions = this.kept.versions.filter((one) => one.version !== version);
    if (this.kept.previous === version) delete this.kept.previous;
    if (this.kept.serving === version) delete this.kept.serving;
    await this.save();
    await this.#options.files.removeVersion(this.name, version);
  }
}
