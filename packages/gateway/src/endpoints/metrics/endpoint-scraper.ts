/** Reads the metrics of one server, again and again: one page under way at a time, over one kept connection. */
import type {
  ServerCall,
  ServerConnection,
  ServerError,
  ServerHandler,
  ServerRequest,
} from "../../contracts/connection.ts";
import type { Clock } from "../../core/clock.ts";
import { headerValue, type HeaderMap } from "../../core/headers.ts";
import type { Random } from "../../core/random.ts";
import { countPageArrived, countPageAsked, type EndpointLoad } from "../../core/server-signals.ts";
import { PageBuffer } from "./page-buffers.ts";
import type { Turning } from "./scrape-wheel.ts";
import type { SignalReader } from "./signal-reader.ts";

/**
 * Why there is no page: those of `ServerError`, and `timeout`; `refused`: another status than 200; `too-large`;
 * `encoded`: compressed though that was not asked for.
 */
export type ScrapeProblem = ServerError["kind"] | "timeout" | "refused" | "too-large" | "encoded";

/** What became of a scrape. */
export interface ScrapeFailure {
  readonly kind: ScrapeProblem;
  /** Of an answer without a page. */
  readonly status: number | undefined;
  readonly message: string;
  /** As in `ServerError`. */
  readonly isOurs?: boolean;
}

/** Who hears of scrapes; called synchronously, and may close the scraper. */
export interface ScrapeListener {
  /** A page has come and was read; further readers may have it until this returns. */
  page(page: Buffer, now: number): void;
  /** A page has come, and the signals are up to date. `told`: there was something on it that was looked for. */
  arrived(told: boolean): void;
  failed(failure: ScrapeFailure): void;
}

/** What a scraper needs. */
export interface EndpointScraperOptions {
  /** Made for the scraper, which closes it. */
  readonly connection: ServerConnection;
  readonly path: string;
  readonly intervalMs: number;
  readonly staleAfterMs: number;
  readonly reader: SignalReader;
  readonly load: EndpointLoad;
  readonly clock: Clock;
  readonly random: Random;
  readonly listener: ScrapeListener;
}

/** How long a page may take, ms. */
const timeoutMs = 1_000;
/** Largest page, bytes. */
const maxPageBytes = 4 * 2 ** 20;
/** Longest pause between two tries at a server that gives no page, ms. */
const longestPauseMs = 5_000;
/** Largest step of the pause: 2 to its power. */
const maxDoublings = 10;

const headers: ServerRequest["headers"] = [
  ["accept", "text/plain;version=0.0.4"],
  ["accept-encoding", "identity"],
  ["user-agent", "spillway"],
];

/** Asks at its turns, and reads what comes. */
export class EndpointScraper implements Turning, ServerHandler {
  readonly #options: EndpointScraperOptions;
  readonly #request: ServerRequest;
  readonly #page = new PageBuffer();
  #call: ServerCall | undefined;
  #isAsking = false;
  #askedAt = 0;
  #status = 0;
  #isEncoded = false;
  #failures = 0;
  #notBefore = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: EndpointScraperOptions) {
    this.#options = options;
    this.#request = { method: "GET", path: options.path, headers, body: undefined, borrowsChunks: true };
  }

  turn(now: number): void {
    const { reader, staleAfterMs } = this.#options;
    if (this.#isAsking) {
      if (now - this.#askedAt >= timeoutMs) this.#giveUp("timeout", `no page within ${timeoutMs} ms`);
    } else if (now >= this.#notBefore) this.#ask(now);
    reader.expire(now, staleAfterMs);
  }

  head(status: number, answer: HeaderMap): void {
    this.#status = status;
    this.#isEncoded = (headerValue(answer, "content-encoding") ?? "identity") !== "identity";
  }

  data(chunk: Uint8Array): void {
    if (this.#page.size + chunk.length > maxPageBytes)
      return this.#giveUp("too-large", `a page of more than ${maxPageBytes} bytes`);
    // Of a refusal only the status counts.
    if (this.#status === 200 && !this.#isEncoded) this.#page.add(chunk);
  }

  end(): void {
    this.#isAsking = false;
    this.#call = undefined;
    if (this.#status !== 200) return this.#fail("refused", `status ${this.#status}`);
    if (this.#isEncoded) return this.#fail("encoded", "a compressed page, which was not asked for");
    const { reader, clock, load, listener } = this.#options;
    this.#failures = 0;
    countPageArrived(load);
    const { page } = this.#page;
    const now = clock.now();
    const told = reader.read(page, now);
    listener.page(page, now);
    this.#page.clear();
    listener.arrived(told);
  }

  failed({ kind, message, isOurs = false }: ServerError): void {
    this.#isAsking = false;
    this.#call = undefined;
    this.#status = 0;
    this.#fail(kind, message, isOurs);
  }

  /** Ends what is under way. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#call?.cancel();
    this.#page.clear();
    this.#options.connection.close();
  }

  #ask(now: number): void {
    const { connection, load } = this.#options;
    this.#isAsking = true;
    this.#askedAt = now;
    this.#status = 0;
    countPageAsked(load);
    const call = connection.send(this.#request, this);
    // It may have failed already.
    if (this.#isAsking) this.#call = call;
  }

  #giveUp(kind: ScrapeProblem, message: string): void {
    const call = this.#call;
    this.#isAsking = false;
    this.#call = undefined;
    this.#status = 0;
    call?.cancel();
    this.#fail(kind, message);
  }

  /** The next try is at the next turn, after a second failure in a row later and later. */
  #fail(kind: ScrapeProblem, message: string, isOurs = false): void {
    const { clock, random, intervalMs, listener } = this.#options;
    this.#page.clear();
    const doublings = Math.min(this.#failures++, maxDoublings);
    const pause = doublings === 0 ? 0 : Math.min(intervalMs * 2 ** doublings, longestPauseMs);
    this.#notBefore = clock.now() + pause * (0.8 + 0.2 * random.unit());
    const status = this.#status === 0 ? undefined : this.#status;
    listener.failed({ kind, status, message, isOurs });
  }
}
