/**
 * Keeps the processes of one set of models running: so many as wanted, restarted when they die, the
 * models' endpoints fed with their instances. A changed set is another deployment; it replaces this one.
 */
import { dirname, join } from "node:path";
import type { Launcher, WorkerModel } from "../contracts/launcher.ts";
import type { WorkerOptions } from "../contracts/options.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { failure } from "../core/errors.ts";
import type { ServedModel } from "../core/model.ts";
import { createGrpcInstance } from "./grpc-instance.ts";
import type { DiscoveredModel } from "./discovery.ts";
import type { ModelInstance } from "./model-instance.ts";
import type { WorkerEndpoint } from "./worker-endpoint.ts";
import { WorkerProcess } from "./worker-process.ts";

/** A model version of the set. */
export interface Member {
  readonly name: string;
  readonly version: string;
  readonly directory: string;
  readonly settings?: NonNullable<WorkerModel["settings"]>;
}

/** What a deployment is made of. */
export interface DeploymentOptions {
  /** `group:NAME` or `NAME/VERSION`. */
  readonly key: string;
  /** Changes when the members or their files do. */
  readonly signature: string;
  readonly members: readonly Member[];
  /** Processes to run. */
  readonly count: number;
  readonly launcher: Launcher;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly worker: WorkerOptions;
  readonly createEndpoint: (model: ServedModel) => WorkerEndpoint;
  /** A process became ready, failed to, or ended: what is served may have changed. */
  readonly onChange: () => void;
  readonly onRestart: (key: string, reason: string) => void;
}

/** One of the wanted processes, over its restarts. */
interface Slot {
  readonly index: number;
  process: WorkerProcess | undefined;
  instances: { readonly endpoint: WorkerEndpoint; readonly instance: ModelInstance }[];
  /** Ends in a row without a single answer. */
  failures: number;
  restart: Timer | undefined;
  tried: boolean;
}

/** `name/version`, the key of a member. */
export function memberId(member: { readonly name: string; readonly version: string }): string {
  return `${member.name}/${member.version}`;
}

/** A reason with paths that begin at the model's folder: callers are told it, and need not know where the repository lies. */
function withoutPlace(reason: string, member: Member | undefined): string {
  if (member === undefined) return reason;
  const repository = dirname(dirname(member.directory));
  return reason.replaceAll(join(repository, "/"), "");
}

/** The running processes of one set of models. */
export class Deployment {
  readonly key: string;
  readonly signature: string;
  readonly members: readonly Member[];
  readonly count: number;
  /** By member id; there from the first time a process could serve the member. */
  readonly endpoints = new Map<string, WorkerEndpoint>();
  /** Why a member cannot be served, by member id. */
  readonly problems = new Map<string, string>();
  readonly #options: DeploymentOptions;
  readonly #slots: Slot[];
  readonly #maxBatch = new Map<string, number>();
  #state: "running" | "retiring" | "ended" = "running";

  constructor(options: DeploymentOptions) {
    this.#options = options;
    this.key = options.key;
    this.signature = options.signature;
    this.members = options.members;
    this.count = options.count;
    this.#slots = Array.from({ length: options.count }, (_, index) => {
      return { index, process: undefined, instances: [], failures: 0, restart: undefined, tried: false };
    });
    for (const slot of this.#slots) this.#start(slot);
  }

  /** True once every process has come up or failed to at least once. */
  get settled(): boolean {
    return this.#slots.every((slot) => slot.tried);
  }

  get ended(): boolean {
    return this.#state === "ended";
  }

  /** Processes, for operators. */
  get processes(): readonly {
    readonly pid: number;
    readonly ready: boolean;
    readonly memoryBytes: number | undefined;
  }[] {
    return this.#slots.flatMap(({ process }) =>
      process === undefined
        ? []
        : [{ pid: process.pid, ready: process.ready, memoryBytes: process.memoryBytes() }],
    );
  }

  readyInstances(member: string): number {
    return this.endpoints.get(member)?.instances ?? 0;
  }

  /** Lets every endpoint answer what waits, then ends the processes. */
  retire(): void {
    if (this.#state !== "running") return;
    this.#state = "retiring";
    let open = this.endpoints.size;
    const closed = (): void => {
      if (--open <= 0) this.end();
    };
    if (open === 0) return this.end();
    for (const endpoint of this.endpoints.values()) endpoint.drain(closed);
  }

  /** Ends the processes now; what still runs is refused. Idempotent. */
  end(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    for (const slot of this.#slots) {
      slot.restart?.cancel();
      slot.process?.kill("it is no longer needed");
    }
    const reason = failure("model_unavailable", "The model was unloaded", 1_000);
    for (const endpoint of this.endpoints.values()) endpoint.close(reason);
  }

  #start(slot: Slot): void {
    slot.restart = undefined;
    if (this.#state === "ended") return;
    const { key, clock, launcher, logger, worker } = this.#options;
    const spec = {
      id: `${key}#${slot.index}`,
      models: this.members.map((member) => this.#workerModel(member)),
    };
    try {
      slot.process = new WorkerProcess({
        spec,
        launcher,
        clock,
        logger,
        worker,
        onReady: (models, process) => this.#ready(slot, process, models),
        onRetire: () => this.#detach(slot),
        onExit: (reason, process) => this.#exited(slot, process, reason),
      });
    } catch (error) {
      this.#startFailed(slot, String(error));
    }
  }

  #workerModel(member: Member): WorkerModel {
    const maxBatch = this.#maxBatch.get(memberId(member));
    return { ...member, ...(maxBatch === undefined ? {} : { maxBatch }) };
  }

  #ready(slot: Slot, process: WorkerProcess, models: readonly DiscoveredModel[]): void {
    for (const discovered of models) this.#serve(slot, process, discovered);
    slot.tried = true;
    const startMs = Math.round(this.#options.clock.now() - process.startedAt);
    this.#options.logger.info("worker_ready", { worker: process.host.id, pid: process.pid, startMs });
    this.#options.onChange();
  }

  #serve(slot: Slot, process: WorkerProcess, discovered: DiscoveredModel): void {
    const id = memberId(discovered);
    if (discovered.model === undefined) {
      const member = this.members.find((one) => memberId(one) === id);
      this.problems.set(id, withoutPlace(discovered.reason, member));
      return;
    }
    this.problems.delete(id);
    this.#maxBatch.set(id, discovered.model.maxBatch);
    let endpoint = this.endpoints.get(id);
    if (endpoint === undefined) {
      endpoint = this.#options.createEndpoint(discovered.model);
      this.endpoints.set(id, endpoint);
    }
    const { host, channel } = process;
    const { name, version } = discovered;
    const instance = createGrpcInstance({
      id: `${id}#${slot.index}`,
      host,
      channel,
      model: { name, version },
    });
    slot.instances.push({ endpoint, instance });
    endpoint.attach(instance);
  }

  #detach(slot: Slot): void {
    for (const { endpoint, instance } of slot.instances.splice(0)) endpoint.detach(instance);
  }

  #exited(slot: Slot, process: WorkerProcess, reason: string): void {
    this.#detach(slot);
    slot.process = undefined;
    slot.failures = process.host.hasAnswered ? 0 : slot.failures + 1;
    if (this.#state === "ended") return;
    this.#options.logger.warn("worker_ended", { worker: process.host.id, pid: process.pid, reason });
    this.#options.onRestart(this.key, reason);
    if (!slot.tried) this.#noteProblem(`The worker process could not load it: ${reason}`);
    slot.tried = true;
    this.#restart(slot);
    this.#options.onChange();
  }

  #startFailed(slot: Slot, reason: string): void {
    slot.failures++;
    slot.tried = true;
    this.#noteProblem(`The worker process could not be started: ${reason}`);
    this.#options.logger.error("worker_not_started", { worker: this.key, reason });
    this.#restart(slot);
    this.#options.onChange();
  }

  #noteProblem(reason: string): void {
    for (const member of this.members) {
      const id = memberId(member);
      if (!this.endpoints.has(id)) this.problems.set(id, reason);
    }
  }

  /** At once after work or a first failure; with a growing pause when it dies again and again without an answer. */
  #restart(slot: Slot): void {
    const { initial, max } = this.#options.worker.backoffMs;
    const pauseMs = slot.failures <= 1 ? 0 : Math.min(max, initial * 2 ** (slot.failures - 2));
    if (pauseMs === 0) return this.#start(slot);
    const { clock } = this.#options;
    slot.restart = clock.after(pauseMs, () => this.#start(slot));
    for (const endpoint of this.endpoints.values()) endpoint.backOff(clock.now() + pauseMs);
  }
}
