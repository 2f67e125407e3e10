/** One HTTP server of a pool: its connection, what it serves, how it is. */
import type { ServerAccess, ServerConnection } from "../contracts/connection.ts";
import type { AttemptResult, HttpEndpoint, HttpEndpointState } from "../contracts/http-endpoint.ts";
import type { Snapshot } from "../contracts/inspect.ts";
import type { HttpPoolOptions } from "../contracts/options.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { AttemptTarget, ChatDialect } from "../core/forward.ts";
import type { Random } from "../core/random.ts";
import { createLoad, createSignals } from "../core/server-signals.ts";
import { askServer } from "./ask-server.ts";
import { EndpointHealth, type EjectionCause } from "./endpoint-health.ts";
import {
  isSurveyFailure,
  surveyServer,
  type Ask,
  type Card,
  type Survey,
  type SurveyFailure,
} from "./survey.ts";
import { giveSlotBack, takeSlot } from "./endpoint-slots.ts";
import type { ScrapeFailure } from "./metrics/endpoint-scraper.ts";
import type { ScrapedServer } from "./metrics/pool-metrics.ts";
import { servedBy, spokenDialect, takesAnyModel, type ServerModels } from "./server-models.ts";
import { showPlace, showSignals } from "./show-endpoint.ts";
import { SpeedMeter } from "./speed-meter.ts";

/** What a pool hears of its servers. */
export interface ServerListener {
  /** State, room or models have changed. */
  changed(server: ServerEndpoint): void;
  /** What the metrics count. */
  stateChanged(server: ServerEndpoint, previous: HttpEndpointState): void;
  ejected(server: ServerEndpoint, cause: EjectionCause): void;
  probed(server: ServerEndpoint, result: "ok" | SurveyFailure["kind"]): void;
  ended(server: ServerEndpoint, result: AttemptResult): void;
}

/** What a server needs. */
export interface ServerEndpointOptions {
  readonly pool: HttpPoolOptions;
  /** `host:port`, or the path of its socket. */
  readonly address: string;
  readonly place?: EndpointPlace | undefined;
  readonly connect: () => ServerConnection;
  /** How its metrics are reached. */
  readonly metricsAccess: ServerAccess;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly listener: ServerListener;
}

/** What the discovery that found a server says of it. */
export interface EndpointPlace {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Longest list of models, or of loaded models, that is read, bytes. */
const maxListBytes = 16 * 2 ** 20;
/** Pause between two surveys that requests ask for, ms. */
const hastyProbeMs = 200;

/** A server as the pool and the stages see it. */
export class ServerEndpoint implements HttpEndpoint, ScrapedServer {
  readonly id: string;
  readonly pool: string;
  readonly address: string;
  readonly #options: ServerEndpointOptions;
  readonly #health: EndpointHealth;
  readonly #speed = new SpeedMeter();
  readonly #connection: ServerConnection;
  #serves: ServerModels;
  #survey: Survey | undefined;
  #place: EndpointPlace | undefined;
  readonly signals = createSignals();
  readonly load = createLoad();
  readonly slot = takeSlot();
  #inFlight = 0;
  #answered = 0;
  #tried = false;
  #probing = false;
  #probeAgain = false;
  #probedAt = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #closed = false;
  /** Operators' calls that wait until the server was asked; those before the next question come first. */
  readonly #refreshed: (() => void)[] = [];

  constructor(options: ServerEndpointOptions) {
    const { pool, address, clock, random, listener, logger } = options;
    this.#options = options;
    this.pool = pool.name;
    this.address = address;
    this.id = `${pool.name}/${address}`;
    this.#place = options.place;
    this.#connection = options.connect();
    this.#health = new EndpointHealth({
      health: pool.health,
      clock,
      random,
      listener: {
        changed: (previous, reason) => {
          const { state } = this;
          if (state !== previous) {
            const fields = { pool: pool.name, endpoint: address, state, previous, reason };
            if (isWorthWarning(state, previous)) logger.warn("endpoint_state", fields);
            else logger.info("endpoint_state", fields);
            listener.stateChanged(this, previous);
          }
          listener.changed(this);
        },
        ejected: (cause) => listener.ejected(this, cause),
        probeWanted: () => this.#probeSoon(),
      },
    });
    this.#serves = servedBy(pool, undefined);
  }

  get state(): HttpEndpointState {
    return this.#health.state;
  }

  /** True while one attempt may find out whether the server is well again. */
  get halfOpen(): boolean {
    return this.#health.halfOpen;
  }

  /** When the server may be asked again, on the clock; undefined where nothing is waited for. */
  get resumesAt(): number | undefined {
    return this.#health.resumesAt;
  }

  get pausedUntil(): number | undefined {
    const { state, resumesAt } = this.#health;
    return state === "busy" || state === "rate-limited" ? resumesAt : undefined;
  }

  get connection(): ServerConnection {
    return this.#connection;
  }

  get labels(): Readonly<Record<string, string>> {
    return this.#place?.labels ?? noLabels;
  }

  get placeName(): EndpointPlace | undefined {
    return this.#place;
  }

  /** The discovery says something else of it than before. */
  setPlace(place: EndpointPlace | undefined): void {
    this.#place = place;
  }

  get metricsAccess(): ServerAccess {
    return this.#options.metricsAccess;
  }

  get dialect(): ChatDialect | undefined {
    return this.#survey?.dialect ?? spokenDialect(this.#options.pool);
  }

  refresh(done?: () => void): void {
    if (done !== undefined) this.#refreshed.push(done);
    if (this.#closed) this.#tellRefreshed(this.#refreshed.length);
    else this.#probeSoon();
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Requests that it has answered well. */
  get answered(): number {
    return this.#answered;
  }

  get capacity(): number {
    return this.#health.halfOpen ? 1 : this.#options.pool.concurrency;
  }

  get speed(): number {
    return this.#speed.speed;
  }

  /** What the server said of itself; undefined before it has. */
  get survey(): Survey | undefined {
    return this.#survey;
  }

  /** True once it was asked, whatever came of it. */
  get tried(): boolean {
    return this.#tried;
  }

  /** Targets by every name that it answers to, aliases included. */
  get targets(): ReadonlyMap<string, AttemptTarget> {
    return this.#serves.targets;
  }

  targetFor(model: string): AttemptTarget | undefined {
    const target = this.#serves.targets.get(model);
    if (target !== undefined || !takesAnyModel(this.#options.pool)) return target;
    return { ...this.#serves.common, model };
  }

  isLoaded(model: string): boolean {
    const running = this.#survey?.running;
    if (running === undefined) return true;
    const target = this.#serves.targets.get(model);
    return target !== undefined && running.has(target.model);
  }

  acquire(): void {
    this.#inFlight++;
  }

  release(result: AttemptResult): void {
    this.#inFlight--;
    if (result.kind === "ok") {
      this.#answered++;
      this.#speed.add(result);
    }
    this.#health.attemptEnded(result);
    // It may no longer have the model.
    if (result.kind === "refused" && result.status === 404) this.#probeSoon();
    if (this.state === "draining" && this.#inFlight === 0) this.close();
    // Last: a pool lets go of a server that has closed.
    this.#options.listener.ended(this, result);
  }

  /**
   * Begins to ask the server what it serves, again and again. One that is not asked is well until its metrics or
   * attempts say otherwise.
   */
  start(): void {
    const { passthrough = false, data } = this.#options.pool;
    if (!passthrough) return void this.#probe();
    this.#tried = true;
    if (data?.metrics === undefined) this.#health.probeSucceeded();
  }

  /** Of a server that is not asked what it serves, its metrics tell how it is: any answer is a sign of life. */
  scraped(failure: ScrapeFailure | undefined): void {
    if (this.#options.pool.passthrough !== true || this.#closed) return;
    const { kind = "refused", status = 0, message = "", isOurs = false } = failure ?? {};
    const isAlive = failure === undefined || (kind === "refused" && status < 500) || kind === "encoded";
    if (isAlive || kind === "too-large") return this.#health.probeSucceeded();
    // What is no HTTP may be a server that is just starting: it is not judged by a single page.
    const judged = kind === "malformed" ? "refused" : kind;
    const probe = { kind: judged, status: undefined, retryAfterMs: undefined, message, isOurs };
    this.#health.probeFailed(probe, { busy: this.#inFlight > 0 });
  }

  /** Takes the server out of the pool: what runs is finished, then it closes by itself. */
  drain(): void {
    this.#health.setDraining(true);
    if (this.#inFlight === 0) this.close();
  }

  /** Puts it back. False where it is closed already. */
  undrain(): boolean {
    if (this.#closed) return false;
    this.#health.setDraining(false);
    return true;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Ends connections once their answers are complete. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.#health.close();
    this.#connection.close();
    giveSlotBack(this.slot);
    this.#tellRefreshed(this.#refreshed.length);
  }

  inspect(): Snapshot {
    const { state, inFlight, capacity, speed, address } = this;
    const { make = null, version = null, dialect = null, serves = [], running } = this.#survey ?? {};
    const models = [...this.#serves.targets.keys()];
    return {
      address,
      ...showPlace(this.#place),
      state,
      inFlight,
      capacity,
      tokensPerSecond: Math.round(speed * 10) / 10,
      make,
      version: version ?? null,
      dialect,
      serves,
      models: models.slice(0, maxShown),
      modelCount: models.length,
      loaded: running === undefined ? null : [...running.keys()].slice(0, maxShown),
      ...(this.#options.pool.data?.metrics === undefined
        ? {}
        : { signals: showSignals(this.signals, this.#options.clock.now()) }),
    };
  }

  #probeSoon(): void {
    if (this.#options.pool.passthrough === true) return this.#tellRefreshed(this.#refreshed.length);
    if (this.#closed || this.#timer === undefined) {
      this.#probeAgain = this.#probing;
      return;
    }
    const { clock } = this.#options;
    this.#timer.cancel();
    const delay = Math.max(0, this.#probedAt + hastyProbeMs - clock.now());
    this.#timer = clock.after(delay, () => void this.#probe());
  }

  /** Tells the first `count` of those that wait. */
  #tellRefreshed(count: number): void {
    for (const done of this.#refreshed.splice(0, count)) done();
  }

  async #probe(): Promise<void> {
    if (this.#closed || this.#probing) return;
    const { clock, pool, listener } = this.#options;
    const waiting = this.#refreshed.length;
    this.#probing = true;
    this.#probeAgain = false;
    this.#timer = undefined;
    this.#probedAt = clock.now();
    const limits = { clock, timeoutMs: pool.health.timeoutMs, maxBytes: maxListBytes };
    const ask: Ask = (question) => askServer(this.#connection, question, limits);
    const result = await surveyServer(ask, pool, this.#survey);
    this.#probing = false;
    this.#tried = true;
    if (this.#closed) return;
    if (isSurveyFailure(result)) {
      listener.probed(this, result.kind);
      this.#health.probeFailed(result, { busy: this.#inFlight > 0 });
      // Asked afresh: what comes back may be another server.
      if (result.kind === "connect" && result.isOurs !== true && pool.dialect === "auto")
        this.#survey = undefined;
    } else {
      listener.probed(this, "ok");
      this.#learn(result);
      this.#health.probeSucceeded();
    }
    listener.changed(this);
    this.#tellRefreshed(waiting);
    const delay = this.#probeAgain ? hastyProbeMs : this.#health.probeDelayMs;
    this.#timer = clock.after(delay, () => void this.#probe());
  }

  /** Keeps what the server said, and makes the targets from it and from what is configured. */
  #learn(survey: Survey | undefined): void {
    this.#survey = survey;
    this.#serves = servedBy(this.#options.pool, survey);
  }
}

const noLabels: Readonly<Record<string, string>> = {};

/** Names in a snapshot. */
const maxShown = 20;

/** The end of what was warned of is told as loudly: a log of warnings alone must not leave a server away for ever. */
function isWorthWarning(state: HttpEndpointState, previous: HttpEndpointState): boolean {
  return isTrouble(state) || (isTrouble(previous) && state !== "draining");
}

function isTrouble(state: HttpEndpointState): boolean {
  return state === "misconfigured" || state === "unhealthy" || state === "rate-limited";
}

/** A model's card at one server, by the name that it answers to. */
export function cardOf(server: ServerEndpoint, model: string): Card | undefined {
  const target = server.targetFor(model);
  return target === undefined ? undefined : server.survey?.models.get(target.model);
}
