/**
 * What runs model instances: a worker process or a model server. Several models may share one, so
 * it is here that a suspect request gets a host to itself.
 */

/**
 * State of a host.
 * - `ready`: takes calls.
 * - `retiring`: finishes its calls, takes no new ones.
 * - `gone`: its connection or process has ended.
 */
export type HostState = "ready" | "retiring" | "gone";

/** Load and exclusivity of one process or server. */
export class Host {
  readonly id: string;
  readonly #end: () => void;
  readonly #listeners = new Set<() => void>();
  #state: HostState = "ready";
  #running = 0;
  #exclusive = false;
  #reservations = 0;
  /** True once any call was answered: a host that did work is restarted without a pause. */
  hasAnswered = false;

  /** `end` kills the process, or closes the connection to a server that cannot be killed. */
  constructor(id: string, end: () => void) {
    this.id = id;
    this.#end = end;
  }

  get state(): HostState {
    return this.#state;
  }

  /** Calls under way. */
  get running(): number {
    return this.#running;
  }

  /** True when an ordinary call may start. */
  get open(): boolean {
    return this.#state === "ready" && !this.#exclusive && this.#reservations === 0;
  }

  /** True when a call that needs the host for itself may start. */
  get idle(): boolean {
    return this.#state === "ready" && this.#running === 0;
  }

  /** Keeps ordinary calls away until `release`, so that the host becomes idle. */
  reserve(): void {
    this.#reservations++;
  }

  release(): void {
    this.#reservations--;
    this.#changed();
  }

  /** Counts a call that starts. With `exclusive` nothing else starts until it ends. */
  begin(kind: "shared" | "exclusive"): void {
    this.#running++;
    if (kind === "exclusive") this.#exclusive = true;
  }

  /** Counts a call that ended, in whatever way. */
  finish(kind: "shared" | "exclusive"): void {
    this.#running--;
    if (kind === "exclusive") this.#exclusive = false;
    this.#changed();
  }

  /** Finishes what runs and takes nothing new. */
  retire(): void {
    if (this.#state === "ready") this.#state = "retiring";
    this.#changed();
  }

  /** A call passed its deadline: the host hangs and is ended. Its calls then fail as those of a dead one. */
  abandon(): void {
    this.#end();
  }

  /** The process or the connection has ended. */
  markGone(): void {
    this.#state = "gone";
    this.#changed();
  }

  /** Called whenever a call may have become possible, or the host has become idle or gone. Returns the way to stop listening. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
