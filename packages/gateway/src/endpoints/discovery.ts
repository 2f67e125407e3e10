/**
 * Finds model servers on this machine by what they answer at their usual ports. They are only asked
 * what they are: nothing is sent that a model would see.
 */
import type { ConnectionFactory, ServerConnection } from "../contracts/connection.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { ServerMake } from "../core/forward.ts";
import { parseHttpAddress } from "../core/http-address.ts";
import { isAnswer, type Question } from "../contracts/ask-server.ts";
import { askServer } from "./ask-server.ts";
import { isSurveyFailure, surveyServer } from "./survey.ts";

/** Makes that are looked for, with their usual ports. */
const usualPorts: readonly DiscoverySpot[] = [
  { make: "ollama", port: 11_434 },
  { make: "ollama", port: 11_435 },
  { make: "vllm", port: 8_000 },
  { make: "llama.cpp", port: 8_080 },
  { make: "lm-studio", port: 1_234 },
];

/** Where a make is expected. Another one that is known is taken as well. */
export interface DiscoverySpot {
  readonly make: ServerMake;
  readonly port: number;
}

/** A server that was found. */
export interface FoundServer {
  readonly make: Exclude<ServerMake, "other" | "anthropic">;
  readonly dialect: "ollama" | "openai";
  readonly url: string;
}

/** What the search needs. */
export interface DiscoveryOptions {
  readonly connect: ConnectionFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default: `usualPorts`. */
  readonly spots?: readonly DiscoverySpot[];
  /** Pause between two searches, ms. Default 30,000. */
  readonly intervalMs?: number;
  /** Ports that this gateway listens on itself. */
  readonly ownPorts: () => readonly number[];
  /** Servers that were found before and cannot be reached now. */
  readonly isGone: (server: FoundServer) => boolean;
  /** Called with all servers there are when one came or went. */
  readonly onChange: (servers: readonly FoundServer[]) => void;
}

/** How long a server may take to answer one question, ms: on this machine it takes a few. */
const answerMs = 1_000;
const maxBytes = 4 * 2 ** 20;

/** Looks again and again at the spots where nothing was found. */
export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #found = new Map<number, FoundServer>();
  #timer: Timer | undefined;
  #looked = false;
  #closed = false;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  /** True once every spot was looked at. */
  get looked(): boolean {
    return this.#looked;
  }

  /** Resolves when every spot was looked at once; never rejects. */
  async start(): Promise<void> {
    await this.#look();
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const { spots = usualPorts, intervalMs = 30_000, ownPorts, clock } = this.#options;
    const own = new Set(ownPorts());
    const gone = [...this.#found].filter(([, server]) => this.#options.isGone(server));
    const free = spots.filter(({ port }) => !this.#found.has(port) && !own.has(port));
    const seen = await Promise.all(free.map((spot) => this.#visit(spot)));
    if (this.#closed) return;
    const came = seen.filter((server) => server !== undefined);
    for (const [port, server] of gone) this.#forget(port, server);
    for (const server of came) this.#keep(server);
    this.#looked = true;
    if (gone.length + came.length > 0) this.#options.onChange([...this.#found.values()]);
    this.#timer = clock.after(intervalMs, () => void this.#look());
  }

  #forget(port: number, { make, url }: FoundServer): void {
    this.#found.delete(port);
    this.#options.logger.info("server_gone", { make, url });
  }

  #keep(server: FoundServer): void {
    this.#found.set(Number(new URL(server.url).port), server);
    this.#options.logger.info("server_discovered", { make: server.make, url: server.url });
  }

  async #visit({ port }: DiscoverySpot): Promise<FoundServer | undefined> {
    const url = `http://127.0.0.1:${port}`;
    const { origin } = parseHttpAddress(url);
    const connection = this.#options.connect({
      origin,
      basePath: "",
      address: undefined,
      socketPath: undefined,
      headers: [],
      ca: undefined,
      serverName: undefined,
      connectTimeoutMs: answerMs,
    });
    try {
      return await this.#recognise(connection, url);
    } finally {
      connection.close();
    }
  }

  async #recognise(connection: ServerConnection, url: string): Promise<FoundServer | undefined> {
    const limits = { clock: this.#options.clock, timeoutMs: answerMs, maxBytes };
    const ask = (question: Question) => askServer(connection, question, limits);
    const top = await ask({ method: "GET", path: "/" });
    // Another gateway of this kind may have found us: requests would go round in circles.
    if (!isAnswer(top) || /^Spillway\b/.test(top.body.toString("latin1", 0, 16))) return undefined;
    // No probing of addresses here: what a server has besides its dialect's is found out by its pool.
    const survey = await surveyServer(ask, { dialect: "auto", serves: [], models: [] }, undefined);
    if (isSurveyFailure(survey)) return undefined;
    const { make, dialect } = survey;
    if (dialect === "anthropic" || make === "anthropic" || make === "other") return undefined;
    return { make, dialect, url };
  }
}
