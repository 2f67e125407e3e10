/** One address of a pool: kept connected, asked what it serves, asked again from time to time. */
import { grpcStatus, type GrpcChannel } from "@spillway/grpc";
import type { Clock, Timer } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { Logger } from "../contracts/telemetry.ts";
import { DiscoveryError, type DiscoveredModel } from "./discovery.ts";
import type { RemoteDialect, Survey } from "./remote-dialect.ts";
import { RemoteLink } from "./remote-link.ts";

/**
 * State of a server.
 * - `connecting`: being connected, or asked for the first time; or lost a moment ago and tried again in quick succession.
 * - `ready`: takes calls.
 * - `unready`: lives, and is not to be called.
 * - `waiting`: could not be reached several times; tried again at `untilMs`.
 * - `closed`: no longer part of the pool.
 */
export type RemoteServerState =
  | { readonly state: "connecting" }
  | { readonly state: "ready" }
  | { readonly state: "unready"; readonly reason: string }
  | { readonly state: "waiting"; readonly reason: string; readonly untilMs: number }
  | { readonly state: "closed" };

/** Pauses and intervals. */
export interface RemoteTiming {
  /** How often names are resolved again, ms. Default 5,000. */
  readonly resolveMs: number;
  /** How often a server is asked whether it is ready and what it has loaded, ms. Default 2,000. */
  readonly checkMs: number;
  /** How long connecting may take, ms. Default 5,000. */
  readonly connectTimeoutMs: number;
  /** First and longest pause between tries to connect, ms; each is up to twice the one before. Default 100 and 3,000. */
  readonly backoffMs: { readonly initial: number; readonly max: number };
}

/** Used where the caller says nothing. */
export const defaultRemoteTiming: RemoteTiming = {
  resolveMs: 5_000,
  checkMs: 2_000,
  connectTimeoutMs: 5_000,
  backoffMs: { initial: 100, max: 3_000 },
};

/** What a server is made of. */
export interface RemoteServerOptions {
  readonly pool: string;
  /** `host:port`, for people. */
  readonly address: string;
  readonly createChannel: () => GrpcChannel;
  readonly dialect: RemoteDialect;
  readonly timing: RemoteTiming;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Its state or its models have changed. */
  readonly onChange: () => void;
}

/** Failed tries in quick succession before a server counts as away: about a second with the default pauses. */
const quickTries = 4;

/** A connection that held this long, or answered a call, was no failure. */
const steadyMs = 10_000;

/** Every so many checks all models are described again, so that one replaced under its old version is noticed. */
const fullCheckEvery = 15;

/** Checks unanswered in a row after which the connection is given up. */
const maxUnanswered = 3;

/** A server of a pool. */
export class RemoteServer {
  readonly address: string;
  readonly #options: RemoteServerOptions;
  #state: RemoteServerState = { state: "connecting" };
  #link: RemoteLink | undefined;
  #readyAt: number | undefined;
  #models: readonly DiscoveredModel[] = [];
  #tried = false;
  #failures = 0;
  #checks = 0;
  #unanswered = 0;
  #timer: Timer | undefined;

  constructor(options: RemoteServerOptions) {
    this.#options = options;
    this.address = options.address;
  }

  get state(): RemoteServerState {
    return this.#state;
  }

  /** True once it has said what it serves, or could not be reached. */
  get tried(): boolean {
    return this.#tried;
  }

  /** What it said last; of a server that is lost, what it will probably serve when it comes back. */
  get models(): readonly DiscoveredModel[] {
    return this.#models;
  }

  /** The connection to call it by; undefined unless it is ready. */
  get link(): RemoteLink | undefined {
    return this.#state.state === "ready" ? this.#link : undefined;
  }

  /** Connects, and stays connected until `close`. */
  start(): void {
    if (this.#link !== undefined || this.#state.state === "closed") return;
    const { address, createChannel } = this.#options;
    const link: RemoteLink = new RemoteLink({
      id: address,
      channel: createChannel(),
      onLost: (reason) => this.#lost(link, reason),
    });
    this.#link = link;
    this.#checks = 0;
    this.#unanswered = 0;
    link.connect(() => this.#check(link));
  }

  /** Leaves the pool: no new calls; those that run are answered, or cut off with `now`. Idempotent. */
  close(how: "gently" | "now"): void {
    this.#timer?.cancel();
    this.#state = { state: "closed" };
    const link = this.#link;
    this.#link = undefined;
    if (how === "now") link?.close();
    else link?.retire();
  }

  #check(link: RemoteLink): void {
    if (link !== this.#link) return;
    const depth = this.#checks++ % fullCheckEvery === 0 ? "full" : "light";
    this.#options.dialect.survey(link.channel, { known: this.#models, depth }).then(
      (survey) => link === this.#link && this.#surveyed(link, survey),
      (error: unknown) => link === this.#link && this.#surveyFailed(link, error),
    );
  }

  #surveyed(link: RemoteLink, survey: Survey): void {
    this.#unanswered = 0;
    this.#checkLater(link);
    if (!survey.ready) return this.#unready(survey.reason);
    const changed = this.#state.state !== "ready" || this.#models !== survey.models;
    this.#models = survey.models;
    if (!changed) return;
    if (this.#state.state !== "ready") this.#becameReady();
    this.#changed();
  }

  #becameReady(): void {
    const { clock, logger, pool } = this.#options;
    this.#state = { state: "ready" };
    this.#readyAt = clock.now();
    logger.info("remote_server_ready", { pool, server: this.address, models: this.#models.length });
  }

  /** A server at work may be too busy to answer a question; an idle one that does not answer is not called. */
  #surveyFailed(link: RemoteLink, error: unknown): void {
    const timedOut = error instanceof DiscoveryError && error.failure.code === grpcStatus.deadlineExceeded;
    if (timedOut && link.host.running > 0) return this.#checkLater(link);
    if (timedOut && ++this.#unanswered >= maxUnanswered) return link.abandon("it answers no questions");
    this.#checkLater(link);
    this.#unready(error instanceof Error ? error.message : String(error));
  }

  #checkLater(link: RemoteLink): void {
    const { clock, timing } = this.#options;
    this.#timer = clock.after(timing.checkMs, () => this.#check(link));
  }

  #unready(reason: string): void {
    const before = this.#state;
    if (before.state === "unready" && before.reason === reason) return;
    const { logger, pool } = this.#options;
    this.#state = { state: "unready", reason };
    logger.warn("remote_server_unready", { pool, server: this.address, reason });
    this.#changed();
  }

  /** Tried again at once after a connection that did its work, else after growing pauses. */
  #lost(link: RemoteLink, reason: string): void {
    if (link !== this.#link) return;
    this.#link = undefined;
    this.#timer?.cancel();
    const { clock, logger, pool } = this.#options;
    const heldMs = this.#readyAt === undefined ? 0 : clock.now() - this.#readyAt;
    if (this.#readyAt !== undefined)
      logger.warn("remote_server_lost", { pool, server: this.address, reason });
    this.#readyAt = undefined;
    this.#failures = link.host.hasAnswered || heldMs >= steadyMs ? 0 : this.#failures + 1;
    const pauseMs = this.#pauseMs();
    this.#timer = clock.after(pauseMs, () => this.start());
    if (this.#failures <= quickTries) this.#state = { state: "connecting" };
    else this.#state = { state: "waiting", reason, untilMs: clock.now() + pauseMs };
    if (this.#failures === quickTries + 1)
      logger.warn("remote_server_unreachable", { pool, server: this.address, reason });
    this.#changed();
  }

  /** Doubling pauses, each with a random half, so that gateways do not knock all at once. */
  #pauseMs(): number {
    if (this.#failures === 0) return 0;
    const { random, timing } = this.#options;
    const { initial, max } = timing.backoffMs;
    return Math.min(max, initial * 2 ** (this.#failures - 1)) * (0.5 + random.unit() / 2);
  }

  #changed(): void {
    this.#tried = this.#tried || this.#state.state !== "connecting" || this.#failures > 0;
    this.#options.onChange();
  }
}
