/** Follows the configuration of a gateway that runs: reads it when it is told to, and when its files change. */
import type { Logger, Metrics } from "../contracts/telemetry.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { ConfigSource, ReadConfig, TakenConfig } from "./config-source.ts";
import { reloadMetrics } from "./reload-metrics.ts";
import { fingerprintOf } from "./watched-files.ts";

/** How often files are looked at, ms. What has changed is read when it is the same at the next look. */
const pollMs = 500;
/** Looks after which files are read that are never the same. */
const maxRestless = 10;

/** What following needs. */
export interface ConfigReloadsParts {
  readonly source: ConfigSource;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** What runs. */
  readonly config: ReadConfig;
  /** Puts it in place as long as it is wanted. Rejects where that cannot be done; then nothing has changed. */
  readonly apply: (config: ReadConfig, isWanted: () => boolean) => Promise<TakenConfig>;
}

/** How it stands, for operators. */
export interface ReloadStatus {
  readonly file: string;
  /** When it was last read while the gateway runs, ms since the Unix epoch; undefined: not yet. */
  readonly readAt: number | undefined;
  readonly result: "applied" | "unchanged" | "refused" | undefined;
  /** Of a configuration that was refused. */
  readonly errors: readonly string[];
  /** What waits for a restart. */
  readonly waiting: readonly string[];
}

/** One reading at a time; what is asked for meanwhile is one more. */
export class ConfigReloads {
  readonly #parts: ConfigReloadsParts;
  readonly #gauges: ReturnType<typeof createGauges>;
  #status: ReloadStatus;
  /** By file: how it looked when it was read. */
  #read = new Map<string, string>();
  /** How they looked at the last look. */
  #last = "";
  #restless = 0;
  /** The reading that has not begun yet. */
  #queued: Promise<void> | undefined;
  #tail: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(parts: ConfigReloadsParts) {
    this.#parts = parts;
    this.#gauges = createGauges(parts.metrics);
    const { name } = parts.source;
    this.#status = { file: name, readAt: undefined, result: undefined, errors: [], waiting: [] };
  }

  get status(): ReloadStatus {
    return this.#status;
  }

  /** Begins to look at the files. */
  async start(): Promise<void> {
    const { source, config } = this.#parts;
    const files = filesOf(source, config);
    const prints = await Promise.all(files.map(fingerprintOf));
    const changed = files.filter((_, index) => changedSince(prints[index], source.readSince));
    this.#read = new Map(files.map((file, index) => [file, prints[index] ?? ""]));
    for (const file of changed) this.#read.set(file, "");
    this.#schedule();
  }

  /** Reads the configuration. Resolves when it was taken, or refused; never rejects. */
  reload(): Promise<void> {
    if (this.#queued !== undefined) return this.#queued;
    const queued = this.#tail.then(() => {
      this.#queued = undefined;
      return this.#run();
    });
    this.#queued = queued;
    this.#tail = queued;
    return queued;
  }

  /** What is being read is not put in place. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = this.#parts.clock.after(pollMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    const files = [...this.#read.keys()];
    const prints = await Promise.all(files.map(fingerprintOf));
    const now = prints.join(" ");
    const isSame = files.every((file, index) => this.#read.get(file) === prints[index]);
    // A file that is being written is not read halfway.
    const isSettled = now === this.#last || ++this.#restless >= maxRestless;
    this.#last = now;
    if (!isSame && isSettled && !this.#isClosed) await this.reload();
    if (isSame || isSettled) this.#restless = 0;
    this.#schedule();
  }

  async #run(): Promise<void> {
    const { source, clock } = this.#parts;
    if (this.#isClosed) return;
    const files = [...this.#read.keys()];
    // Looked at before they are read: what is written meanwhile is a change.
    const prints = await Promise.all(files.map(fingerprintOf));
    this.#read = new Map(files.map((file, index) => [file, prints[index] ?? ""]));
    const result = await source.read();
    if (this.#isClosed) return;
    const readAt = clock.wallNow();
    if ("errors" in result) this.#refused(result.errors, readAt);
    else await this.#take(result.config, readAt);
  }

  async #take(config: ReadConfig, readAt: number): Promise<void> {
    await this.#follow(config);
    try {
      const taken = await this.#parts.apply(config, () => !this.#isClosed);
      this.#taken(taken, readAt);
    } catch (error) {
      if (this.#isClosed) return;
      this.#refused([error instanceof Error ? error.message : String(error)], readAt);
    }
  }

  /** Looks at the files that this configuration names from now on. */
  async #follow(config: ReadConfig): Promise<void> {
    const files = filesOf(this.#parts.source, config);
    const known = this.#read;
    const prints = await Promise.all(files.map(async (file) => known.get(file) ?? fingerprintOf(file)));
    this.#read = new Map(files.map((file, index) => [file, prints[index] ?? ""]));
  }

  #taken({ changed, waiting }: TakenConfig, readAt: number): void {
    const { source, logger } = this.#parts;
    const result = changed.length === 0 ? "unchanged" : "applied";
    const { name: file } = source;
    const isNews = waiting.join() !== this.#status.waiting.join();
    this.#status = { file, readAt, result, errors: [], waiting };
    this.#count(result);
    if (changed.length > 0) logger.info("config_changed", { file, changed: changed.join(", ") });
    else logger.info("config_unchanged", { file });
    if (waiting.length > 0 && isNews)
      logger.warn("config_needs_restart", { file, waiting: waiting.join(", ") });
  }

  #refused(errors: readonly string[], readAt: number): void {
    const { source, logger } = this.#parts;
    const { name: file } = source;
    this.#status = { ...this.#status, readAt, result: "refused", errors };
    this.#count("refused");
    logger.error("config_refused", { file, errors: errors.length, error: errors.join("; ") });
  }

  #count(result: "applied" | "unchanged" | "refused"): void {
    const { reloads, successful, waiting } = this.#gauges;
    reloads.with(result).value++;
    successful.value = result === "refused" ? 0 : 1;
    waiting.value = this.#status.waiting.length;
  }
}

function createGauges(metrics: Metrics) {
  const reloads = metrics.counter(reloadMetrics.reloads);
  const successful = metrics.gauge(reloadMetrics.successful).with();
  const waiting = metrics.gauge(reloadMetrics.waiting).with();
  for (const result of ["applied", "unchanged", "refused"]) reloads.with(result);
  successful.value = 1;
  return { reloads, successful, waiting };
}

function filesOf({ files }: ConfigSource, { namedFiles = [] }: ReadConfig): readonly string[] {
  return [...new Set([...files, ...namedFiles])];
}

/** By the last change of the file itself, or of what its name leads to; clocks of file systems are a little late. */
function changedSince(print: string | undefined, since: number): boolean {
  const changedNs = print?.split(":")[1];
  return changedNs !== undefined && Number(changedNs) / 1e6 >= since - 20;
}
