/** A model server of the fleet: the simulator's engine, the time around it, and what its page of metrics shows when. */
import { createSignals } from "../../packages/gateway/src/core/server-signals.ts";
import type { ServerSignals } from "../../packages/gateway/src/core/server-signals.ts";
import type { VirtualClock } from "../../packages/simulator/src/clock.ts";
import { Engine } from "../../packages/simulator/src/engine/engine.ts";
import type { EngineOptions } from "../../packages/simulator/src/engine/options.ts";
import type { Sequence, SequenceListener } from "../../packages/simulator/src/engine/sequence.ts";
import { hashText } from "../../packages/simulator/src/random.ts";
import { answerToken } from "./fleet-request.ts";
import type { FleetRequest } from "./fleet-request.ts";

/** What surrounds an engine. Times in simulated milliseconds. */
export interface ServerSurroundings {
  /** From the picker's decision until the engine has the request: network, HTTP, tokenising. */
  readonly admissionMs: number;
  /** From the engine's first token until the caller has it. */
  readonly deliveryMs: number;
  readonly scrapeIntervalMs: number;
  /** From the page being written until the picker has read it. */
  readonly scrapeDelayMs: number;
}

/** Hears of what a server does. */
export interface ServerObserver {
  firstToken(request: FleetRequest, server: FleetServer): void;
  ended(request: FleetRequest, server: FleetServer): void;
  /** A page of metrics is asked for. */
  scrapeBegins(server: FleetServer): void;
  /** It has been read. */
  scraped(server: FleetServer): void;
}

/** One server. */
export class FleetServer {
  readonly index: number;
  readonly engine: Engine;
  /** As the picker knows it. */
  readonly signals: ServerSignals = createSignals();
  /** Requests sent here that have not ended, in the engine or on their way. */
  inFlight = 0;
  readonly #clock: VirtualClock;
  readonly #surroundings: ServerSurroundings;
  readonly #observer: ServerObserver;
  /** What the page would show now: written at the end of each step, as vLLM's engine tells its front end. */
  readonly #page = { running: 0, waiting: 0, kvUsage: 0 };
  #seenWaiting = 0;
  #stopped = false;

  constructor(
    index: number,
    options: EngineOptions,
    clock: VirtualClock,
    surroundings: ServerSurroundings,
    observer: ServerObserver,
  ) {
    this.index = index;
    this.#clock = clock;
    this.#surroundings = surroundings;
    this.#observer = observer;
    this.engine = new Engine(options, clock, {
      firstToken: () => undefined,
      gap: () => undefined,
      // What comes while a step runs is not looked at, and so not counted, until the next one begins.
      step: () => void (this.#seenWaiting = this.engine.waiting),
      stepEnded: () => this.#writePage(),
      ended: () => undefined,
    });
    this.signals.blockTokens = options.blockTokens;
    this.signals.blocks = options.kvBlocks;
    this.signals.maxAdapters = options.maxAdapters;
    this.#readPage({ ...this.#page }, 0);
  }

  /** Scrapes from now on, until `stop`; servers are scraped one after the other within an interval. */
  startScrapes(offsetMs: number): void {
    this.#clock.after(offsetMs, () => this.#scrape());
  }

  /** Ends the scrapes. */
  stop(): void {
    this.#stopped = true;
  }

  /** Takes a request from the picker. */
  send(request: FleetRequest): void {
    request.server = this.index;
    request.sentAt = this.#clock.now();
    this.inFlight += 1;
    this.#clock.after(this.#surroundings.admissionMs, () => this.#submit(request));
  }

  /** Blocks of the prompt that are in the cache now, and how many it has. */
  cachedShare(request: FleetRequest): number {
    const { blocks } = this.#promptOf(request);
    return blocks.length === 0 ? 0 : this.engine.cache.match(blocks) / blocks.length;
  }

  #promptOf({ ask }: FleetRequest) {
    const salt = ask.adapter === undefined ? 0 : hashText(ask.adapter);
    return ask.text.prompt(this.engine.options.blockTokens, salt);
  }

  #submit(request: FleetRequest): void {
    const listener: SequenceListener = {
      token: (sequence) => {
        if (sequence.produced === 1) this.#firstToken(request, sequence);
      },
      finished: (sequence) => this.#finished(request, sequence),
      tokenId: (at) => answerToken(request.index, at),
    };
    const { outputTokens, adapter } = request.ask;
    const prompt = this.#promptOf(request);
    if (this.engine.submit({ prompt, outputTokens, adapter, listener }) === undefined)
      throw new RangeError(`request ${request.index} does not fit into server ${this.index}`);
  }

  #firstToken(request: FleetRequest, sequence: Sequence): void {
    request.cachedTokens = sequence.cachedTokens;
    request.waitedMs = request.sentAt - request.arrivedAt + sequence.scheduledAt - sequence.arrivedAt;
    this.#clock.after(this.#surroundings.deliveryMs, () => {
      request.firstTokenAt = this.#clock.now();
      this.#observer.firstToken(request, this);
    });
  }

  #finished(request: FleetRequest, sequence: Sequence): void {
    this.#clock.after(this.#surroundings.deliveryMs, () => {
      request.produced = sequence.produced;
      request.preemptions = sequence.preemptions;
      request.endedAt = this.#clock.now();
      request.end = "finished";
      this.inFlight -= 1;
      this.#observer.ended(request, this);
    });
  }

  #writePage(): void {
    this.#page.running = this.engine.running;
    this.#page.waiting = this.#seenWaiting;
    this.#page.kvUsage = this.engine.cache.usage;
  }

  #scrape(): void {
    if (this.#stopped) return;
    this.#observer.scrapeBegins(this);
    const page = { ...this.#page };
    const { scrapeDelayMs, scrapeIntervalMs } = this.#surroundings;
    const running = this.engine.adapters.running();
    const waiting = this.engine.waitingAdapters();
    this.#clock.after(scrapeDelayMs, () => {
      this.#readPage(page, this.#clock.now());
      this.signals.runningAdapters = running;
      this.signals.waitingAdapters = waiting;
      this.#observer.scraped(this);
    });
    this.#clock.after(scrapeIntervalMs, () => this.#scrape());
  }

  #readPage(page: { running: number; waiting: number; kvUsage: number }, at: number): void {
    const { told } = this.signals;
    this.signals.updatedAt = at;
    told.waiting = told.running = told.kvUsage = told.adapters = at;
    this.signals.running = page.running;
    this.signals.waiting = page.waiting;
    this.signals.kvUsage = page.kvUsage;
  }
}
