/** A model version served by workers or model servers: the scheduler sees one endpoint, the batcher its instances. */
import type { ModelDecision, ModelEndpoint, ModelEndpointState, Upstream } from "../contracts/endpoint.ts";
import type { Line, LineFactory } from "../contracts/line.ts";
import type { Exchange, ResponseSink } from "../contracts/sink.ts";
import type { Clock } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { ServedModel } from "../core/model.ts";
import { Seat } from "./batch.ts";
import { Batcher, type BatcherOptions } from "./batcher.ts";
import type { ModelInstance } from "./model-instance.ts";
import type { ModelStatistics } from "./statistics.ts";

/** Every lease of a worker endpoint is a seat in a batch; to carry a decision is to board it. */
const workerUpstream: Upstream<ModelDecision> = {
  carry(decision: ModelDecision, sink: ResponseSink): Exchange {
    const { lease } = decision;
    if (!(lease instanceof Seat)) throw new TypeError("the lease is not a seat of a batch");
    lease.board(sink);
    return lease;
  },
};

/** What an endpoint is made of. */
export interface WorkerEndpointOptions {
  readonly pool: string;
  readonly model: ServedModel;
  readonly clock: Clock;
  readonly createLine: LineFactory;
  readonly statistics: ModelStatistics;
  readonly batching: Pick<BatcherOptions, "delayMs" | "timeoutMs" | "concurrency">;
}

/** One model version. Made when its first instance is ready; closed when a newer one has taken over and the last answer is out. */
export class WorkerEndpoint implements ModelEndpoint {
  readonly id: string;
  readonly pool: string;
  readonly model: ServedModel;
  readonly upstream = workerUpstream;
  readonly line: Line;
  readonly #clock: Clock;
  readonly #batcher: Batcher;
  #phase: "serving" | "draining" | "closed" = "serving";
  #backoffUntil: number | undefined;
  #onClosed: (() => void) | undefined;

  constructor(options: WorkerEndpointOptions) {
    const { pool, model, clock, statistics, batching } = options;
    this.id = `${pool}/${model.name}/${model.version}`;
    this.pool = pool;
    this.model = model;
    this.#clock = clock;
    this.line = options.createLine((reason) => statistics.requestRefused(reason.code));
    const onIdle = (): void => this.#idle();
    this.#batcher = new Batcher({ clock, line: this.line, model, statistics, ...batching, onIdle });
  }

  get state(): ModelEndpointState {
    if (this.#phase !== "serving") return this.#phase;
    if (this.#batcher.instances > 0) return "ready";
    return this.#backoffUntil === undefined ? "recovering" : "unavailable";
  }

  get instances(): number {
    return this.#batcher.instances;
  }

  refusal(): Failure | undefined {
    if (this.#phase === "closed") return failure("model_unavailable", `${this.id} was unloaded`, 1_000);
    if (this.state !== "unavailable") return undefined;
    return this.#backoffFailure(this.#backoffUntil ?? 0);
  }

  attach(instance: ModelInstance): void {
    this.#backoffUntil = undefined;
    this.#batcher.attach(instance);
  }

  detach(instance: ModelInstance): void {
    this.#batcher.detach(instance);
  }

  /** The next instance is tried at this time and none is left: what waits is refused. */
  backOff(untilMs: number): void {
    if (this.#batcher.instances > 0) return;
    this.#backoffUntil = untilMs;
    const reason = this.#backoffFailure(untilMs);
    this.line.flush(reason);
    this.#batcher.flush(reason);
  }

  /** Answers what is in line and takes part in nothing new. `onClosed` is called when the last of it is out. */
  drain(onClosed: () => void): void {
    if (this.#phase === "closed") return onClosed();
    this.#phase = "draining";
    this.#onClosed = onClosed;
    this.#idle();
  }

  /** Refuses what is left. Idempotent. */
  close(reason: Failure): void {
    this.#phase = "draining";
    this.line.flush(reason);
    this.#batcher.flush(reason);
    this.#idle();
  }

  #idle(): void {
    if (this.#phase !== "draining" || this.line.length > 0 || this.#batcher.busy) return;
    this.#phase = "closed";
    const onClosed = this.#onClosed;
    this.#onClosed = undefined;
    onClosed?.();
  }

  #backoffFailure(untilMs: number): Failure {
    const text = `${this.id} has no running instance; the next start is tried shortly`;
    return failure("model_unavailable", text, Math.max(1, untilMs - this.#clock.now()));
  }
}
