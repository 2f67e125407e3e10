/** What a server was asked, and how each request ended. */
import type { IncomingHttpHeaders } from "node:http";

/**
 * How a request ended. `completed`: the whole answer was sent. `client_closed`: the client left first. `fault`: a fault
 * broke it off. `server_closed`: the simulator was closed.
 */
export type RequestEnd = "completed" | "client_closed" | "fault" | "server_closed";

/** One request. Times are milliseconds since the Unix epoch with fractions, comparable between processes. */
export interface RequestRecord {
  readonly id: number;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Which connection it came over, counted from 1. */
  readonly connection: number;
  readonly startedAt: number;
  /** The body as text, cut after 1 MiB. */
  body: string;
  bodyBytes: number;
  model?: string;
  /** Of the answer; 0 until the head was sent. */
  status: number;
  /** Answer tokens made, all choices together. */
  tokens: number;
  /** Events sent. */
  events: number;
  ended?: RequestEnd;
  endedAt?: number;
}

const MAX_RECORDS = 10_000;
const MAX_BODY_BYTES = 1024 * 1024;
const MAX_TOTAL_BYTES = 64 * 1024 * 1024;

/** The last 10,000 requests, or as many as fit in 64 MiB of bodies. */
export class RequestLog {
  readonly #records: RequestRecord[] = [];
  readonly #watchers = new Set<() => void>();
  #next = 1;
  #bytes = 0;
  #keep: boolean;

  /** @param keep whether anything is kept; counting and `until` work only if it is */
  constructor({ keep }: { keep: boolean }) {
    this.#keep = keep;
  }

  /** All records, oldest first. */
  all(): readonly RequestRecord[] {
    return this.#records;
  }

  /** The newest record whose path starts with `path`. */
  last(path = ""): RequestRecord | undefined {
    return this.#records.findLast((record) => record.path.startsWith(path));
  }

  /** Forgets everything. */
  clear(): void {
    this.#records.length = 0;
    this.#bytes = 0;
  }

  /**
   * Resolves with the first record that satisfies `test`, now or later.
   * @throws when none did within `timeoutMs`
   */
  until(test: (record: RequestRecord) => boolean, timeoutMs = 5000): Promise<RequestRecord> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.#records.find(test);
        if (found === undefined) return;
        clearTimeout(timer);
        this.#watchers.delete(look);
        resolve(found);
      };
      const timer = setTimeout(() => {
        this.#watchers.delete(look);
        reject(new Error(`no such request within ${timeoutMs} ms; ${this.#records.length} are known`));
      }, timeoutMs);
      this.#watchers.add(look);
      look();
    });
  }

  /** Begins a record. */
  begin(head: Pick<RequestRecord, "method" | "path" | "headers" | "connection">): RequestRecord {
    const record: RequestRecord = {
      id: this.#next++,
      ...head,
      startedAt: epochNow(),
      body: "",
      bodyBytes: 0,
      status: 0,
      tokens: 0,
      events: 0,
    };
    if (this.#keep) this.#records.push(record);
    while (this.#records.length > MAX_RECORDS) this.#drop();
    this.#changed();
    return record;
  }

  /** Keeps the body. */
  body(record: RequestRecord, body: Buffer): void {
    record.bodyBytes = body.length;
    if (!this.#keep) return;
    record.body = body.toString("utf8", 0, MAX_BODY_BYTES);
    this.#bytes += record.body.length;
    while (this.#bytes > MAX_TOTAL_BYTES && this.#records.length > 1) this.#drop();
    this.#changed();
  }

  /** Ends a record, once. */
  end(record: RequestRecord, ended: RequestEnd): void {
    if (record.ended !== undefined) return;
    record.ended = ended;
    record.endedAt = epochNow();
    this.#changed();
  }

  #drop(): void {
    const dropped = this.#records.shift();
    this.#bytes -= dropped?.body.length ?? 0;
  }

  #changed(): void {
    for (const look of this.#watchers) look();
  }
}

function epochNow(): number {
  return performance.timeOrigin + performance.now();
}
