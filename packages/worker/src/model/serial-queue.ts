/** A line of jobs that run one after another, in the order they came. */

/** A job in the line. */
export interface SerialJob {
  /** Runs when its turn comes. Must not reject: it reports to whoever asked. */
  run(): Promise<void>;
  /** Asked when the turn comes: true drops the job unrun. */
  isCancelled(): boolean;
}

/** Single writer: the line changes only in `push` and in the loop, never across an await. */
export class SerialQueue {
  readonly #maxWaiting: number;
  #waiting: SerialJob[] = [];
  #head = 0;
  #running = false;
  #idle: (() => void)[] = [];

  /** @param maxWaiting jobs in the line besides the running one */
  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting;
  }

  /** Jobs in the line, the running one not counted. */
  get waiting(): number {
    return this.#waiting.length - this.#head;
  }

  /** True when no further job is to be pushed. */
  get full(): boolean {
    return this.waiting >= this.#maxWaiting;
  }

  /** Puts a job at the end. Throws a RangeError when the line is full. */
  push(job: SerialJob): void {
    if (this.full) throw new RangeError(`the line holds ${this.#maxWaiting} jobs at most`);
    this.#waiting.push(job);
    if (!this.#running) void this.#drain();
  }

  /** Resolves when nothing runs or waits. */
  idle(): Promise<void> {
    if (!this.#running) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async #drain(): Promise<void> {
    this.#running = true;
    for (let job = this.#next(); job !== undefined; job = this.#next()) {
      if (!job.isCancelled()) await job.run();
    }
    this.#running = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #next(): SerialJob | undefined {
    const job = this.#waiting[this.#head++];
    if (this.#head > 64 || this.#head >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    return job;
  }
}
