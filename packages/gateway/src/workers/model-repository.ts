/**
 * The models on disk and the processes that serve them. Follows the folder: a new version is started
 * beside the old one, takes over when it is ready, and the old one answers what it still holds. A
 * version that cannot be loaded leaves the one before it serving.
 */
import { scanRepository, type RepositorySnapshot } from "@spillway/worker/repository";
import type { ModelEndpoint } from "../contracts/endpoint.ts";
import type { Launcher } from "../contracts/launcher.ts";
import type { LineFactory } from "../contracts/line.ts";
import type { VersionChoice } from "../contracts/managed-models.ts";
import type { ModelStatus } from "../contracts/models.ts";
import type { RepositoryOptions, WorkerOptions } from "../contracts/options.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { ServedModel } from "../core/model.ts";
import { Deployment, memberId } from "./deployment.ts";
import {
  planDeployments,
  selectChosen,
  selectedVersions,
  type DesiredDeployment,
  type DesiredState,
} from "./desired-state.ts";
import { ServedVersions } from "./served-versions.ts";
import type { StatisticsRegistry } from "./statistics-registry.ts";
import { WorkerEndpoint } from "./worker-endpoint.ts";

/** Name of the pool that local workers form. */
const localPool = "local";

/** What a repository needs. */
export interface ModelRepositoryOptions {
  readonly repository: RepositoryOptions;
  readonly worker: WorkerOptions;
  readonly launcher: Launcher;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly createLine: LineFactory;
  readonly statistics: StatisticsRegistry;
  /** Which versions of a model are served, in place of what its `model.yaml` says. */
  readonly choiceOf?: (model: string) => VersionChoice;
  /** What can be asked for, or how it stands, has changed. */
  readonly onChange: () => void;
  readonly onRestart: (deployment: string, reason: string) => void;
}

/**
 * Why the folder is looked at.
 * - `poll`: a change counts when the next look finds it unchanged, so that a file that is still being
 *   copied is left alone.
 * - `start`: everything counts at once.
 * - `named`: of that model every change counts at once, and it is started anew when it has failed; of
 *   the others as with `poll`.
 */
type Look = { readonly why: "start" | "poll" } | { readonly why: "named"; readonly name: string };

/** Follows a folder of models and keeps them served. */
export class ModelRepository {
  readonly #options: ModelRepositoryOptions;
  readonly #served = new ServedVersions();
  readonly #current = new Map<string, Deployment>();
  readonly #replaced = new Set<Deployment>();
  /** Under `explicit` control the models that were loaded; else those that were unloaded. */
  readonly #named = new Set<string>();
  readonly #waiting: { readonly name: string; readonly done: () => void }[] = [];
  /** Signatures at the last look, by key of the deployment; of those that are wanted. */
  #seen: ReadonlyMap<string, string> = new Map();
  /** Looks at the folder one after the other: an older state never comes after a newer one. */
  #looking: Promise<void> = Promise.resolve();
  #snapshot: RepositorySnapshot | undefined;
  #desired: DesiredState = { deployments: new Map(), problems: new Map(), batching: new Map() };
  #timer: Timer | undefined;
  /** Why the last look failed. */
  #unreadable: string | undefined;
  #closed = false;

  constructor(options: ModelRepositoryOptions) {
    this.#options = options;
  }

  /** Reads the folder and starts what it holds. Throws when the folder cannot be read. */
  async start(): Promise<void> {
    await this.#look({ why: "start" });
    this.#schedule();
  }

  /** True once everything that should run has come up or failed to. */
  get settled(): boolean {
    return (
      this.#snapshot !== undefined && [...this.#current.values()].every((deployment) => deployment.settled)
    );
  }

  endpointFor(model: string, version: string | undefined): ModelEndpoint | Failure | undefined {
    const endpoint = this.#served.find(model, version ?? this.#preferred(model));
    if (endpoint !== undefined) return endpoint;
    const known = this.#snapshot?.models.get(model);
    if (known === undefined) return undefined;
    const served = this.#served.versions(model);
    if (served.length > 0 && version !== undefined) {
      return failure(
        "version_not_found",
        `Model ${model} has no version ${version}; it serves ${served.join(", ")}`,
      );
    }
    const reason = this.#reasonFor(model);
    if (reason !== undefined)
      return failure("model_unavailable", `Model ${model} cannot be served: ${reason}`);
    return failure("model_unavailable", `Model ${model} is being loaded`, 1_000);
  }

  /** The version that is asked for by who names none; undefined: the highest. Where a choice prefers none, none. */
  #preferred(model: string): string | undefined {
    const choice = this.#options.choiceOf?.(model);
    return choice === undefined ? undefined : (choice.preferred ?? "");
  }

  versions(model: string): readonly string[] {
    return this.#served.versions(model);
  }

  list(): ModelStatus[] {
    const rows: ModelStatus[] = [];
    for (const model of this.#snapshot?.models.values() ?? []) {
      const names = new Set([...this.#served.versions(model.name), ...model.selected]);
      for (const version of names) rows.push(this.#status(model.name, version));
      if (names.size === 0)
        rows.push(this.#brokenModel(model.name, model.error ?? "none of its versions is chosen"));
    }
    return rows;
  }

  /** Processes by deployment, for operators and metrics. */
  processes(): {
    readonly deployment: string;
    readonly pid: number;
    readonly ready: boolean;
    readonly memoryBytes: number | undefined;
  }[] {
    return [...this.#current.values(), ...this.#replaced].flatMap((deployment) =>
      deployment.processes.map((process) => ({ deployment: deployment.key, ...process })),
    );
  }

  /** Loads a model, or what changed of it on disk. Resolves when it serves or has failed. */
  async load(name: string): Promise<Failure | undefined> {
    if (this.#options.repository.control === "explicit") this.#named.add(name);
    else this.#named.delete(name);
    const unreadable = await this.#look({ why: "named", name }).catch(unreadableReason);
    if (unreadable !== undefined)
      return failure("model_load_failed", `failed to load '${name}': ${unreadable}`);
    const model = this.#snapshot?.models.get(name);
    if (model === undefined) {
      if (this.#options.repository.control === "explicit") this.#named.delete(name);
      return failure("model_not_found", `The repository has no model ${name}`);
    }
    await new Promise<void>((done) => {
      this.#waiting.push({ name, done });
      this.#notifyWaiting();
    });
    const reason = this.#reasonFor(name);
    return reason === undefined
      ? undefined
      : failure("model_load_failed", `failed to load '${name}': ${reason}`);
  }

  /** Takes a model out of service; what it holds is answered. */
  async unload(name: string): Promise<Failure | undefined> {
    if (this.#snapshot?.models.has(name) !== true) {
      return failure("model_not_found", `The repository has no model ${name}`);
    }
    if (this.#options.repository.control === "explicit") this.#named.delete(name);
    else this.#named.add(name);
    // A folder that cannot be read keeps nothing in service.
    await this.#look({ why: "named", name }).catch(unreadableReason);
    return undefined;
  }

  /** Ends all processes. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const deployment of [...this.#current.values(), ...this.#replaced]) deployment.end();
  }

  #schedule(): void {
    const { pollMs } = this.#options.repository;
    if (pollMs === 0 || this.#closed) return;
    this.#timer = this.#options.clock.after(pollMs, () => {
      void this.#look({ why: "poll" })
        .catch(unreadableReason)
        .then((reason) => {
          this.#noteUnreadable(reason ?? undefined);
          this.#schedule();
        });
    });
  }

  /** Told once, not at every look. */
  #noteUnreadable(reason: string | undefined): void {
    if (reason === this.#unreadable) return;
    this.#unreadable = reason;
    const { logger } = this.#options;
    if (reason === undefined) logger.info("repository_readable");
    else logger.error("repository_unreadable", { reason });
  }

  #look(look: Look): Promise<void> {
    const looked = this.#looking.then(() => this.#scan(look));
    this.#looking = looked.catch(() => {});
    return looked;
  }

  /** What cannot be read is taken to be as it was, and thrown. */
  async #scan(look: Look): Promise<void> {
    if (this.#closed) return;
    const previous = this.#snapshot;
    try {
      const { directory } = this.#options.repository;
      const scanned = await scanRepository(directory, previous === undefined ? {} : { previous });
      const { choiceOf } = this.#options;
      this.#snapshot = choiceOf === undefined ? scanned : selectChosen(scanned, choiceOf);
    } finally {
      if (!this.#closed && this.#snapshot !== undefined) this.#apply(this.#snapshot, look);
    }
  }

  #apply(snapshot: RepositorySnapshot, look: Look): void {
    const { repository } = this.#options;
    this.#desired = planDeployments(snapshot, repository, (model) => this.#isWanted(model));
    const { deployments } = this.#desired;
    for (const [key, wanted] of deployments) this.#ensure(key, wanted, look);
    this.#seen = new Map([...deployments].map(([key, { signature }]) => [key, signature]));
    for (const [key, deployment] of this.#current) if (!deployments.has(key)) this.#replace(key, deployment);
    this.#promote();
  }

  #isWanted(model: string): boolean {
    return this.#options.repository.control === "explicit" ? this.#named.has(model) : !this.#named.has(model);
  }

  #ensure(key: string, wanted: DesiredDeployment, look: Look): void {
    const running = this.#current.get(key);
    const isNamed = look.why === "named" && [wanted, running].some((one) => hasMember(one, look.name));
    const failed = isNamed && running !== undefined && running.problems.size > 0;
    if (running?.signature === wanted.signature && running.count === wanted.count && !failed) return;
    const stable = this.#seen.get(key) === wanted.signature;
    if (!stable && !isNamed && look.why !== "start") return;
    if (running !== undefined) this.#replace(key, running);
    this.#current.set(key, this.#deploy(wanted));
  }

  #replace(key: string, deployment: Deployment): void {
    this.#current.delete(key);
    this.#replaced.add(deployment);
  }

  #deploy(wanted: DesiredDeployment): Deployment {
    const { launcher, clock, logger, worker, onRestart } = this.#options;
    const models = wanted.members.map(memberId).join(" ");
    logger.info("deployment_started", { deployment: wanted.key, models, processes: wanted.count });
    const { memoryLimitBytes = worker.memoryLimitBytes } = wanted;
    return new Deployment({
      ...wanted,
      launcher,
      clock,
      logger,
      worker: { ...worker, memoryLimitBytes },
      createEndpoint: (model) => this.#createEndpoint(model),
      onChange: () => this.#promote(),
      onRestart,
    });
  }

  #createEndpoint(model: ServedModel): WorkerEndpoint {
    const { clock, createLine, statistics } = this.#options;
    const batching = this.#desired.batching.get(memberId(model)) ?? { delayMs: 0, timeoutMs: 10_000 };
    return new WorkerEndpoint({
      pool: localPool,
      model,
      clock,
      createLine,
      statistics: statistics.of(model.name, model.version),
      batching,
    });
  }

  /** Routes to what is ready, lets go of what nothing needs any more. */
  #promote(): void {
    if (this.#closed) return;
    for (const deployment of this.#current.values()) {
      if (!deployment.settled) continue;
      for (const endpoint of deployment.endpoints.values()) this.#served.set(endpoint);
    }
    for (const model of this.#served.models()) this.#dropUnselected(model);
    for (const deployment of this.#replaced) {
      for (const endpoint of deployment.endpoints.values()) {
        if (!this.#served.has(endpoint)) endpoint.drain(() => {});
      }
      const needed = [...deployment.endpoints.values()].some((endpoint) => this.#served.has(endpoint));
      if (!needed) {
        this.#replaced.delete(deployment);
        deployment.retire();
      }
    }
    this.#notifyWaiting();
    this.#options.onChange();
  }

  /** Versions the policy no longer serves go once every selected one is there; until then they stay. */
  #dropUnselected(name: string): void {
    const model = this.#snapshot?.models.get(name);
    const wanted = model !== undefined && this.#isWanted(name) ? model : undefined;
    if (wanted?.error !== undefined) return;
    const selected = wanted === undefined ? [] : selectedVersions(wanted).map((version) => version.version);
    if (!selected.every((version) => this.#isCurrent(name, version))) return;
    for (const version of this.#served.versions(name))
      if (!selected.includes(version)) this.#served.delete(name, version);
  }

  #isCurrent(name: string, version: string): boolean {
    const endpoint = this.#served.exact(name, version);
    if (endpoint === undefined) return false;
    return [...this.#current.values()].some(
      (deployment) => deployment.endpoints.get(memberId({ name, version })) === endpoint,
    );
  }

  #notifyWaiting(): void {
    for (const waiter of this.#waiting.splice(0)) {
      if (this.#modelSettled(waiter.name)) waiter.done();
      else this.#waiting.push(waiter);
    }
  }

  #modelSettled(name: string): boolean {
    return [...this.#current.values()].every(
      (deployment) => deployment.settled || !hasMember(deployment, name),
    );
  }

  /** Why a model, or its selected version, is not what it should be; undefined when nothing is known against it. */
  #reasonFor(name: string): string | undefined {
    if (!this.#isWanted(name)) return "it was unloaded";
    for (const [id, reason] of this.#problems()) if (id.startsWith(`${name}/`)) return reason;
    return undefined;
  }

  *#problems(): Iterable<readonly [string, string]> {
    yield* this.#desired.problems;
    for (const deployment of this.#current.values()) yield* deployment.problems;
  }

  #status(name: string, version: string): ModelStatus {
    const id = memberId({ name, version });
    const endpoint = this.#served.exact(name, version);
    const deployments = [...this.#current.values(), ...this.#replaced];
    const deployment =
      deployments.find((one) => endpoint !== undefined && one.endpoints.get(id) === endpoint) ??
      deployments.find((one) => one.members.some((member) => memberId(member) === id));
    const instances = { wanted: deployment?.count ?? 0, ready: endpoint?.instances ?? 0 };
    const problem = [...this.#problems()].find(([key]) => key === id || key === `${name}/`)?.[1];
    const base = { pool: localPool, name, version, instances };
    if (endpoint?.state === "ready") return { ...base, state: "READY", reason: problem ?? "" };
    if (!this.#isWanted(name)) return { ...base, state: "UNAVAILABLE", reason: "unloaded" };
    if (problem !== undefined) return { ...base, state: "UNAVAILABLE", reason: problem };
    if (endpoint === undefined) return { ...base, state: "LOADING", reason: "" };
    return { ...base, state: "UNAVAILABLE", reason: "no instance is running; one is being started" };
  }

  #brokenModel(name: string, reason: string): ModelStatus {
    return {
      pool: localPool,
      name,
      version: "",
      state: "UNAVAILABLE",
      reason,
      instances: { wanted: 0, ready: 0 },
    };
  }
}

function hasMember(
  deployment: { readonly members: DesiredDeployment["members"] } | undefined,
  model: string,
): boolean {
  return deployment?.members.some((member) => member.name === model) === true;
}

/** Without the folder's path, which is nothing for callers. */
function unreadableReason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  return `the model folder cannot be read: ${code}`;
}
