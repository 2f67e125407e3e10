/** Keeps what a worker serves in step with a model repository on disk. */
import type { WorkerLog } from "../log.ts";
import { loadModel } from "../model/load-model.ts";
import type { LoadedModel } from "../model/loaded-model.ts";
import type { ModelRegistry } from "../model/model-registry.ts";
import type { Refusal } from "../refusal.ts";
import { errorText, refuse } from "../refusal.ts";
import type { RepositorySnapshot, ScannedModel, ScannedVersion } from "../repository/scan.ts";
import { scanRepository } from "../repository/scan.ts";
import type { RepositoryControl } from "../service/repository-calls.ts";

/** What the synchronisation needs. */
export interface RepositorySyncOptions {
  readonly directory: string;
  readonly registry: ModelRegistry;
  readonly log: WorkerLog;
  /** Default: from disk, for real. */
  readonly load?: typeof loadModel;
}

/** What was tried, and what came of it. */
interface Try {
  readonly fingerprint: string;
  /** Undefined: it was loaded. */
  readonly problem: string | undefined;
}

/** A model-level problem is listed under this version. */
const noVersion = "";

/**
 * Loads, replaces and removes versions. One change runs at a time, in the order asked. A version that
 * cannot be loaded leaves what was served before in place, with the reason beside it.
 */
export class RepositorySync implements RepositoryControl {
  readonly #options: RepositorySyncOptions;
  readonly #load: typeof loadModel;
  /** How the last try to load each version went, by `name/version`. */
  readonly #tried = new Map<string, Try>();
  /** Fingerprint of each model when it was last brought in step, and when it was last seen. */
  readonly #applied = new Map<string, string>();
  #seen = new Map<string, string>();
  /** Taken away by `unload` until the next `load`. */
  readonly #unloaded = new Set<string>();
  #snapshot: RepositorySnapshot | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: RepositorySyncOptions) {
    this.#options = options;
    this.#load = options.load ?? loadModel;
  }

  /** Loads everything the repository serves. Rejects when it cannot be read at all. */
  loadAll(): Promise<void> {
    return this.#inOrder(async () => {
      const models = await this.#scan();
      this.#seen = printsOf(models);
      for (const model of models.values())
        for (const version of model.selected)
          this.#options.registry.set(model.name, version, { state: "loading" });
      for (const model of models.values()) await this.#apply(model);
    });
  }

  /**
   * Brings models in step that changed on disk and have kept still since the previous poll, so that a
   * copy under way is not read half. Models that are gone at two polls in a row are removed.
   */
  poll(): Promise<void> {
    return this.#inOrder(async () => {
      const models = await this.#scan();
      const seen = printsOf(models);
      for (const [name, model] of models) {
        const print = seen.get(name) ?? "";
        const changed = this.#applied.get(name) !== print;
        if (changed && this.#seen.get(name) === print && !this.#unloaded.has(name)) await this.#apply(model);
      }
      for (const name of this.#applied.keys())
        if (!seen.has(name) && !this.#seen.has(name)) await this.#remove(name);
      this.#seen = seen;
    });
  }

  load(name: string): Promise<Refusal | undefined> {
    return this.#inOrder(async () => {
      const { directory } = this.#options;
      const model = (await scanRepository(directory, { only: name })).models.get(name);
      if (model === undefined)
        return refuse("notFound", `no model ${JSON.stringify(name.slice(0, 128))} in ${directory}`);
      this.#unloaded.delete(name);
      for (const { version } of model.versions) this.#tried.delete(keyOf(name, version));
      const problems = await this.#apply(model);
      return problems.length === 0 ? undefined : refuse("precondition", problems.join("\n"));
    });
  }

  unload(name: string): Promise<Refusal | undefined> {
    return this.#inOrder(async () => {
      if (this.#options.registry.versionsOf(name).length === 0)
        return refuse("notFound", `no model ${JSON.stringify(name.slice(0, 128))} is loaded`);
      this.#unloaded.add(name);
      await this.#remove(name);
      return undefined;
    });
  }

  /** Resolves when the change under way is over. */
  idle(): Promise<void> {
    return this.#inOrder(() => Promise.resolve());
  }

  #inOrder<Result>(change: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(change);
    this.#last = result.catch(() => {});
    return result;
  }

  async #scan(): Promise<RepositorySnapshot["models"]> {
    const { directory } = this.#options;
    this.#snapshot = await scanRepository(
      directory,
      this.#snapshot === undefined ? {} : { previous: this.#snapshot },
    );
    return this.#snapshot.models;
  }

  /** Makes the selected versions serve, then takes the others away. Returns what went wrong. */
  async #apply(model: ScannedModel): Promise<string[]> {
    const { registry, log } = this.#options;
    this.#applied.set(model.name, fingerprintOf(model));
    if (model.error !== undefined) return this.#brokenModel(model.name, model.error);
    const problems: string[] = [];
    for (const version of model.versions) {
      if (!model.selected.includes(version.version)) continue;
      const problem = await this.#applyVersion(model.name, version);
      if (problem !== undefined) problems.push(`${model.name}/${version.version}: ${problem}`);
    }
    for (const { version, state } of registry.versionsOf(model.name)) {
      // An older version goes on answering until everything that replaces it does.
      const needed = problems.length > 0 && state.state === "ready";
      if (!model.selected.includes(version) && !needed) await this.#removeVersion(model.name, version);
    }
    if (problems.length === 0)
      log("info", "model_in_step", { model: model.name, versions: model.selected.join(", ") });
    return problems;
  }

  #brokenModel(name: string, error: string): string[] {
    const { registry, log } = this.#options;
    log("error", "model_unavailable", { model: name, reason: error });
    const ready = registry.versionsOf(name).filter(({ state }) => state.state === "ready");
    for (const { version, state } of ready)
      if (state.state === "ready") registry.set(name, version, { ...state, problem: error });
    if (ready.length === 0) registry.set(name, noVersion, { state: "unavailable", reason: error });
    return [error];
  }

  /** Loads a version unless it is served as it lies on disk. Returns what went wrong. */
  async #applyVersion(name: string, version: ScannedVersion): Promise<string | undefined> {
    const { registry, log } = this.#options;
    const current = registry.get(name, version.version);
    const key = keyOf(name, version.version);
    const old = current?.state === "ready" ? current.model : undefined;
    const { fingerprint } = version;
    const before = this.#tried.get(key);
    if (before?.fingerprint === fingerprint) {
      // A problem of the whole model may have been noted meanwhile, and is over.
      if (old !== undefined && before.problem === undefined)
        registry.set(name, version.version, { state: "ready", model: old });
      return before.problem;
    }
    if (old === undefined) registry.set(name, version.version, { state: "loading" });
    const result = await this.#tryLoad(name, version);
    this.#tried.set(key, { fingerprint, problem: typeof result === "string" ? result : undefined });
    if (typeof result !== "string") {
      registry.set(name, version.version, { state: "ready", model: result });
      log("info", "model_ready", { model: name, version: version.version, maxBatch: result.maxBatch });
      await old?.close();
      return undefined;
    }
    log("error", "model_unavailable", { model: name, version: version.version, reason: result });
    if (old === undefined) registry.set(name, version.version, { state: "unavailable", reason: result });
    else registry.set(name, version.version, { state: "ready", model: old, problem: result });
    return result;
  }

  async #tryLoad(name: string, scanned: ScannedVersion): Promise<LoadedModel | string> {
    const { version, directory, config, engine } = scanned;
    if (config === undefined || engine === undefined) return scanned.error ?? "it has no configuration";
    try {
      return await this.#load(
        { name, version, directory, config, engine, maxBatch: undefined },
        this.#options,
      );
    } catch (error) {
      return errorText(error);
    }
  }

  async #remove(name: string): Promise<void> {
    this.#applied.delete(name);
    for (const { version } of this.#options.registry.versionsOf(name))
      await this.#removeVersion(name, version);
    this.#options.log("info", "model_removed", { model: name });
  }

  async #removeVersion(name: string, version: string): Promise<void> {
    const state = this.#options.registry.get(name, version);
    this.#options.registry.delete(name, version);
    this.#tried.delete(keyOf(name, version));
    if (state?.state === "ready") await state.model.close();
  }
}

function keyOf(name: string, version: string): string {
  return `${name}/${version}`;
}

function printsOf(models: RepositorySnapshot["models"]): Map<string, string> {
  return new Map([...models].map(([name, model]) => [name, fingerprintOf(model)]));
}

/** Changes when anything of the model does. */
function fingerprintOf(model: ScannedModel): string {
  return [
    model.configFingerprint,
    ...model.versions.map(({ version, fingerprint }) => `${version}=${fingerprint}`),
  ].join();
}
