/** A line of jobs that begin in the order they came, one after another or a few at once. */

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
  readonly #width: number;
  #waiting: SerialJob[] = [];
  #head = 0;
  #running = 0;
  #idle: (() => void)[] = [];

  /**
   * @param maxWaiting jobs in the line besides those that run
   * @param width jobs that run at once
   */
  constructor(maxWaiting: number, width = 1) {
    this.#maxWaiting = maxWaiting;
    this.#width = width;
  }

  /** Jobs in the line, those that run not counted. */
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
    if (this.#running < this.#width) void this.#drain();
  }

  /** Resolves when nothing runs or waits. */
  idle(): Promise<void> {
    if (this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async #drain(): Promise<void> {
    this.#running++;
    for (let job = this.#next(); job !== undefined; job = this.#next()) {
      if (!job.isCancelled()) await job.run();
    }
    if (--this.#running > 0) return;
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
