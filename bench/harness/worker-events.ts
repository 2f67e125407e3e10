/** Follows worker processes by the gateway's log: which run, when one ended, when another took its place. */

/** A worker process came up or ended. */
export interface WorkerEvent {
  /** `ready`: it takes requests from now on. `ended`: without being told to. */
  readonly kind: "ready" | "ended";
  /** Its place, kept by the process that replaces it: `digits/1#0`. */
  readonly worker: string;
  readonly pid: number;
  /** Wall clock of the gateway, milliseconds since the Unix epoch. */
  readonly timeMs: number;
}

/** Later events than so many are passed over. */
const MAX_EVENTS = 10_000;

const KINDS = new Map<unknown, WorkerEvent["kind"]>([
  ["worker_ready", "ready"],
  ["worker_ended", "ended"],
]);

/** Collects the events of one gateway. */
export class WorkerEvents {
  readonly #events: WorkerEvent[] = [];
  readonly #waiting = new Set<() => void>();

  /** Takes a line of the gateway's log. Others than those about workers are passed over. */
  read(line: string): void {
    const event = this.#events.length < MAX_EVENTS ? parseEvent(line) : null;
    if (event === null) return;
    this.#events.push(event);
    for (const look of this.#waiting) look();
  }

  /** All events so far, in order. */
  get all(): readonly WorkerEvent[] {
    return this.#events;
  }

  /** Processes that are up, by place. */
  get running(): ReadonlyMap<string, number> {
    const running = new Map<string, number>();
    for (const { kind, worker, pid } of this.#events) {
      if (kind === "ready") running.set(worker, pid);
      else running.delete(worker);
    }
    return running;
  }

  /**
   * The first event that `matches`, past or to come, but not one of the first `after`. Rejects when none comes within
   * `timeoutMs`.
   */
  find(
    matches: (event: WorkerEvent) => boolean,
    options: { readonly after: number; readonly timeoutMs: number },
  ): Promise<WorkerEvent> {
    const find = (): WorkerEvent | undefined =>
      this.#events.find((event, index) => index >= options.after && matches(event));
    return this.#until(find, options.timeoutMs);
  }

  /** Resolves when so many processes are up. Rejects when they are not within `timeoutMs`. */
  async haveRunning(count: number, timeoutMs: number): Promise<void> {
    await this.#until(() => (this.running.size >= count ? true : undefined), timeoutMs);
  }

  async #until<Found>(find: () => Found | undefined, timeoutMs: number): Promise<Found> {
    const { promise, resolve, reject } = Promise.withResolvers<Found>();
    const look = (): void => {
      const found = find();
      if (found !== undefined) resolve(found);
    };
    const late = (): void => reject(new Error(`no such worker event within ${timeoutMs} ms`));
    const timer = setTimeout(late, timeoutMs);
    this.#waiting.add(look);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(look);
    }
  }
}

function parseEvent(line: string): WorkerEvent | null {
  if (!line.startsWith("{")) return null;
  const fields = parse(line);
  const kind = KINDS.get(fields["event"]);
  const timeMs = Date.parse(String(fields["time"]));
  if (kind === undefined || Number.isNaN(timeMs)) return null;
  return { kind, worker: String(fields["worker"]), pid: Number(fields["pid"]), timeMs };
}

function parse(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return {};
  }
}
