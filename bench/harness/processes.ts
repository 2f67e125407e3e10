/** Watches the processes under test: CPU time over a window, resident and proportional memory. */
import { describeProcess, processTree, readProcess, readPssBytes } from "./proc.ts";

/** How memory moved while it was watched. */
export interface MemoryReport {
  readonly firstBytes: number;
  readonly lastBytes: number;
  readonly maxBytes: number;
}

/** What one process used while it was watched. */
export interface ProcessReport {
  /** Name of the server it belongs to. */
  readonly server: string;
  /** Its program, such as `node echo-json.ts`. */
  readonly program: string;
  readonly pid: number;
  /** Within the watch. The last moments of a process that ended meanwhile are missing. */
  readonly cpuMs: number;
  readonly rss: MemoryReport;
  /** Null where the kernel does not tell. */
  readonly pss: MemoryReport | null;
  /** Whether it was there when the watch ended. */
  readonly alive: boolean;
}

/** What to watch. */
export interface WatchOptions {
  /** Name → root process. Children that start meanwhile are found at the next look. */
  readonly roots: Readonly<Record<string, number>>;
  /** Distance of two looks at CPU time and resident memory. Default 250 ms. */
  readonly intervalMs?: number;
}

/** Proportional memory is read at the first and last look and every so many between, since reading it disturbs. */
const LOOKS_PER_PSS = 8;
const MAX_PROCESSES = 256;

interface Watched {
  readonly server: string;
  readonly program: string;
  readonly startCpuMs: number;
  cpuMs: number;
  alive: boolean;
  readonly rss: Range;
  readonly pss: Range;
}

/** First, last and largest of a sequence. */
class Range {
  #first: number | null = null;
  #last = 0;
  #max = 0;

  add(value: number | null): void {
    if (value === null) return;
    this.#first ??= value;
    this.#last = value;
    this.#max = Math.max(this.#max, value);
  }

  report(): MemoryReport | null {
    return this.#first === null
      ? null
      : { firstBytes: this.#first, lastBytes: this.#last, maxBytes: this.#max };
  }
}

/** Watches from construction to `close`. */
export class ProcessWatch {
  readonly #roots: Readonly<Record<string, number>>;
  readonly #watched = new Map<number, Watched>();
  readonly #timer: NodeJS.Timeout;
  #looks = 0;
  #reports: ProcessReport[] | null = null;

  constructor(options: WatchOptions) {
    this.#roots = options.roots;
    this.#look("start");
    this.#timer = setInterval(() => this.#look("between"), options.intervalMs ?? 250);
    this.#timer.unref();
  }

  /** Looks once more and gives what each process used. Idempotent. */
  close(): ProcessReport[] {
    if (this.#reports !== null) return this.#reports;
    clearInterval(this.#timer);
    for (const watched of this.#watched.values()) watched.alive = false;
    this.#look("end");
    this.#reports = [...this.#watched].map(([pid, watched]) => report(pid, watched));
    return this.#reports;
  }

  #look(when: "start" | "between" | "end"): void {
    const readsPss = when !== "between" || this.#looks % LOOKS_PER_PSS === 0;
    this.#looks += 1;
    for (const [server, root] of Object.entries(this.#roots)) {
      for (const { pid } of processTree(root))
        this.#read(server, pid, when, readsPss ? "with-pss" : "without-pss");
    }
  }

  #read(server: string, pid: number, when: string, what: "with-pss" | "without-pss"): void {
    const reading = readProcess(pid);
    if (reading === null || (!this.#watched.has(pid) && this.#watched.size >= MAX_PROCESSES)) return;
    const watched = this.#watched.get(pid) ?? {
      server,
      program: describeProcess(pid),
      startCpuMs: when === "start" ? reading.cpuMs : 0,
      cpuMs: 0,
      alive: true,
      rss: new Range(),
      pss: new Range(),
    };
    this.#watched.set(pid, watched);
    watched.alive = true;
    watched.cpuMs = reading.cpuMs - watched.startCpuMs;
    watched.rss.add(reading.rssBytes);
    if (what === "with-pss") watched.pss.add(readPssBytes(pid));
  }
}

/** CPU time of all processes, or of those of one server. */
export function cpuMsOf(reports: readonly ProcessReport[], server?: string): number {
  return reports
    .filter((one) => server === undefined || one.server === server)
    .reduce((sum, one) => sum + one.cpuMs, 0);
}

/** Largest memory of a process: proportional where known, else resident. */
export function maxMemoryBytes(one: ProcessReport): number {
  return (one.pss ?? one.rss).maxBytes;
}

function report(pid: number, watched: Watched): ProcessReport {
  const nothing: MemoryReport = { firstBytes: 0, lastBytes: 0, maxBytes: 0 };
  return {
    server: watched.server,
    program: watched.program,
    pid,
    cpuMs: watched.cpuMs,
    rss: watched.rss.report() ?? nothing,
    pss: watched.pss.report(),
    alive: watched.alive,
  };
}
