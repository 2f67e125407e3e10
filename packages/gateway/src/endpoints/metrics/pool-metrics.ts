/** Reads the metrics of a pool's servers as its data layer says. */
import type { ConnectionFactory, ServerAccess } from "../../contracts/connection.ts";
import type { DataSpec, PageExtractor } from "../../contracts/plugins/data.ts";
import type { SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { EndpointLoad, ServerSignals } from "../../core/server-signals.ts";
import { mappingOf } from "./engine-mappings.ts";
import { EndpointScraper, type ScrapeFailure } from "./endpoint-scraper.ts";
import type { ScrapeCounts } from "./scrape-metrics.ts";
import type { ScrapeWheel } from "./scrape-wheel.ts";
import { SignalReader, type NeededSignal } from "./signal-reader.ts";

/** A server as far as its metrics are concerned. */
export interface ScrapedServer extends SchedulableEndpoint {
  readonly pool: string;
  readonly signals: ServerSignals;
  readonly load: EndpointLoad;
  /** How its metrics are reached. */
  readonly metricsAccess: ServerAccess;
  /** A page has come, or the reason why none has. */
  scraped(failure: ScrapeFailure | undefined): void;
}

/** What pools share that read metrics. */
export interface Scraping {
  readonly wheel: ScrapeWheel;
  readonly counts: ScrapeCounts;
  /** Quantities that somebody reads; default: all. */
  readonly needs?: readonly NeededSignal[];
  /** Plugins that read pages as well. Default: none. */
  readonly extractors?: readonly NamedExtractor[];
}

/** A plugin that reads pages. */
export interface NamedExtractor {
  readonly type: string;
  readonly extractor: PageExtractor;
}

/** What is needed to read metrics. */
export interface PoolMetricsOptions {
  readonly data: DataSpec;
  readonly scraping: Scraping;
  readonly connect: ConnectionFactory;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The signals of a server are new. */
  readonly onSignals: (server: ScrapedServer) => void;
}

interface Scraped {
  readonly engine: string;
  readonly scraper: EndpointScraper;
  readonly takeOff: () => void;
}

/** The scrapers of a pool. Without `data.metrics` there are none. */
export class PoolMetrics {
  readonly #options: PoolMetricsOptions;
  readonly #servers = new Map<ScrapedServer, Scraped>();
  /** Engines that nothing is known of, and pages that told nothing: told once. */
  readonly #complaints = new Set<string>();

  constructor(options: PoolMetricsOptions) {
    this.#options = options;
  }

  /** Begins to read a server's metrics. One whose engine is another than before begins anew. */
  add(server: ScrapedServer): void {
    const { data } = this.#options;
    if (data.metrics === undefined) return;
    const engine = server.labels[data.engineLabel] ?? data.defaultEngine;
    if (this.#servers.get(server)?.engine === engine) return;
    this.remove(server);
    const scraper = this.#scraperFor(server, engine, data.metrics);
    const takeOff = this.#options.scraping.wheel.add(scraper, data.metrics.intervalMs);
    this.#servers.set(server, { engine, scraper, takeOff });
    this.#options.scraping.counts.added(server, data.metrics.staleAfterMs);
  }

  /** Ends it. Idempotent. */
  remove(server: ScrapedServer): void {
    const scraped = this.#servers.get(server);
    if (scraped === undefined) return;
    this.#servers.delete(server);
    scraped.takeOff();
    scraped.scraper.close();
    this.#options.scraping.counts.removed(server);
  }

  /** Ends all. Idempotent. */
  close(): void {
    for (const server of this.#servers.keys()) this.remove(server);
  }

  #scraperFor(
    server: ScrapedServer,
    engine: string,
    { path, intervalMs, staleAfterMs }: NonNullable<DataSpec["metrics"]>,
  ): EndpointScraper {
    const { data, scraping, clock, random, connect } = this.#options;
    const named = mappingOf(engine, data.engines);
    if (named === undefined) this.#complain("metrics_engine_unknown", server, engine);
    const mapping = named ?? mappingOf(data.defaultEngine, data.engines);
    const reader = new SignalReader(
      mapping ?? { engine, metrics: [] },
      scraping.needs ?? allSignals,
      server.signals,
    );
    return new EndpointScraper({
      connection: connect(server.metricsAccess),
      path,
      intervalMs,
      staleAfterMs,
      reader,
      load: server.load,
      clock,
      random,
      listener: {
        page: (page, now) => this.#extract(server, reader, page, now),
        arrived: (told) => this.#arrived(server, engine, told),
        failed: (failure) => this.#failed(server, failure),
      },
    });
  }

  #extract(server: ScrapedServer, reader: SignalReader, page: Buffer, now: number): void {
    const { extractors = none, counts } = this.#options.scraping;
    if (extractors.length === 0) return;
    const tell = (name: string, value: number): void => reader.tell(name, value, now);
    for (const { type, extractor } of extractors) {
      try {
        extractor.extract(page, server, tell);
      } catch (error) {
        counts.extractorFailed(type);
        this.#complain(
          "extractor_failed",
          server,
          type,
          error instanceof Error ? error.message : String(error),
        );
      }
    }
  }

  #arrived(server: ScrapedServer, engine: string, told: boolean): void {
    const { scraping, onSignals } = this.#options;
    scraping.counts.arrived(server, told);
    if (!told) this.#complain("metrics_tell_nothing", server, engine);
    server.scraped(undefined);
    onSignals(server);
  }

  #failed(server: ScrapedServer, failure: ScrapeFailure): void {
    this.#options.scraping.counts.failed(server, failure.kind);
    server.scraped(failure);
  }

  /** `about`: the engine, or the plugin. */
  #complain(event: string, { pool, address }: ScrapedServer, about: string, reason?: string): void {
    const complaint = `${event} ${address} ${about}`;
    if (this.#complaints.has(complaint) || this.#complaints.size >= maxComplaints) return;
    this.#complaints.add(complaint);
    const named = event === "extractor_failed" ? { plugin: about, reason } : { engine: about };
    this.#options.logger.warn(event, { pool, endpoint: address, ...named });
  }
}

const none: readonly NamedExtractor[] = [];
const maxComplaints = 1_000;

const allSignals: readonly NeededSignal[] = [
  "waiting",
  "running",
  "kvUsage",
  "blockTokens",
  "blocks",
  "adapters",
  "custom",
];
