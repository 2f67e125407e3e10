/** Keeps a session at the server that had its first request. */
import { z } from "zod";
import { sessionIdKey } from "../contracts/plugins/data-keys.ts";
import type { PluginHost, PluginNeeds } from "../contracts/plugins/plugin.ts";
import type {
  Candidates,
  Filter,
  RequestObserver,
  SchedulableEndpoint,
  ScheduledRequest,
  Scorer,
} from "../contracts/plugins/scheduling.ts";
import type { Clock } from "../core/clock.ts";
import { headerValue, type HeaderList } from "../core/headers.ts";
import { definePlugin } from "./define-plugin.ts";
import { goDuration } from "./go-duration-schema.ts";
import { keepWhere } from "./keep-where.ts";
import { dataAt } from "./request-data.ts";

const parameters = z.lazy(() =>
  z.strictObject({
    strategy: z
      .enum(["encoded-endpoint-header", "session-id"])
      .default("encoded-endpoint-header")
      .describe(
        "`encoded-endpoint-header`: the answer has a header that names the server, which the caller sends back; `session-id`: the gateway remembers the server of each session",
      ),
    encodedEndpointHeaderConfig: z
      .strictObject({
        header: z.string().min(1).default("x-session-token").describe("Name of the header, both ways"),
      })
      .default({ header: "x-session-token" }),
    sessionIdConfig: z
      .strictObject({
        ttl: goDuration.default(300_000).describe("How long a session without requests is remembered"),
        producerName: z.string().optional().describe("Name of the producer, where there are several"),
      })
      .default({ ttl: 300_000 }),
  }),
);

type Parameters = z.infer<typeof parameters>;

/** Sessions that are remembered; beyond it the oldest are forgotten. */
const maxSessions = 65_536;

/** Pause between two looks for sessions that are over, ms. */
const sweepMs = 10_000;

/** Which server a request's session is bound to, if any. */
interface Binding extends RequestObserver {
  /** Id of the endpoint. */
  boundTo(request: ScheduledRequest): string | undefined;
}

/** The caller carries the binding: base64 of the endpoint's id. */
class HeaderBinding implements Binding {
  readonly #header: string;

  constructor(header: string) {
    this.#header = header.toLowerCase();
  }

  boundTo({ headers }: ScheduledRequest): string | undefined {
    const token = headerValue(headers, this.#header);
    if (token === undefined || token === "") return undefined;
    return Buffer.from(token, "base64").toString("utf8");
  }

  answerHeaders(_request: ScheduledRequest, { id }: SchedulableEndpoint): HeaderList {
    return [[this.#header, Buffer.from(id).toString("base64")]];
  }
}

interface Session {
  endpoint: string;
  usedAt: number;
}

/** The gateway remembers it; a session moves only when its server is gone. */
class SessionBinding implements Binding {
  readonly #clock: Clock;
  readonly #index: number;
  readonly #ttlMs: number;
  readonly #sessions = new Map<string, Session>();
  #sweptAt = 0;

  constructor(clock: Clock, index: number, ttlMs: number) {
    this.#clock = clock;
    this.#index = index;
    this.#ttlMs = ttlMs;
  }

  boundTo(request: ScheduledRequest): string | undefined {
    const id = dataAt<string>(request, this.#index);
    const session = id === undefined ? undefined : this.#sessions.get(id);
    return session !== undefined && this.#isAlive(session) ? session.endpoint : undefined;
  }

  dispatched(request: ScheduledRequest, { id: endpoint }: SchedulableEndpoint): void {
    const id = dataAt<string>(request, this.#index);
    if (id === undefined) return;
    const now = this.#clock.now();
    this.#sweep(now);
    const session = this.#sessions.get(id);
    if (session === undefined) {
      if (this.#sessions.size >= maxSessions) this.#forgetOldest();
      this.#sessions.set(id, { endpoint, usedAt: now });
      return;
    }
    // Elsewhere for once, where its own server had no room: the session stays where it is.
    if (!this.#isAlive(session)) session.endpoint = endpoint;
    session.usedAt = now;
  }

  forgotten({ id }: SchedulableEndpoint): void {
    for (const [name, { endpoint }] of this.#sessions) if (endpoint === id) this.#sessions.delete(name);
  }

  #isAlive({ usedAt }: Session): boolean {
    return this.#clock.now() - usedAt < this.#ttlMs;
  }

  #sweep(now: number): void {
    if (now - this.#sweptAt < sweepMs) return;
    this.#sweptAt = now;
    for (const [name, session] of this.#sessions) if (!this.#isAlive(session)) this.#sessions.delete(name);
  }

  #forgetOldest(): void {
    const oldest = this.#sessions.keys().next();
    if (oldest.done !== true) this.#sessions.delete(oldest.value);
  }
}

/** Filter or scorer over a binding. */
class SessionAffinity implements Filter, Scorer, RequestObserver {
  readonly #binding: Binding;

  constructor(binding: Binding) {
    this.#binding = binding;
  }

  filter(candidates: Candidates, request: ScheduledRequest): void {
    const bound = this.#binding.boundTo(request);
    if (bound !== undefined) keepWhere(candidates, ({ id }) => id === bound, true);
  }

  score({ endpoints, positions, count }: Candidates, request: ScheduledRequest, scores: Float64Array): void {
    const bound = this.#binding.boundTo(request);
    for (let i = 0; i < count; i++) {
      scores[i] = bound !== undefined && endpoints[positions[i] ?? 0]?.id === bound ? 1 : 0;
    }
  }

  answerHeaders(request: ScheduledRequest, endpoint: SchedulableEndpoint): HeaderList | undefined {
    return this.#binding.answerHeaders?.(request, endpoint);
  }

  dispatched(request: ScheduledRequest, endpoint: SchedulableEndpoint): void {
    this.#binding.dispatched?.(request, endpoint);
  }

  forgotten(endpoint: SchedulableEndpoint): void {
    this.#binding.forgotten?.(endpoint);
  }
}

function create({ strategy, ...options }: Parameters, host: PluginHost): SessionAffinity {
  if (strategy === "encoded-endpoint-header") {
    return new SessionAffinity(new HeaderBinding(options.encodedEndpointHeaderConfig.header));
  }
  const { ttl, producerName } = options.sessionIdConfig;
  return new SessionAffinity(new SessionBinding(host.clock, host.dataIndex(sessionIdKey, producerName), ttl));
}

function needsOf({ strategy }: Parameters): PluginNeeds {
  return strategy === "session-id" ? { reads: [sessionIdKey] } : {};
}

/** `session-affinity-filter`. */
export const sessionAffinityFilter = definePlugin({
  type: "session-affinity-filter",
  kinds: ["filter"],
  summary: "Leaves the server that the session is bound to, where it can be asked; else all",
  parameters,
  needsOf,
  create: (options, host): Filter & RequestObserver => create(options, host),
});

/** `session-affinity-scorer`. */
export const sessionAffinityScorer = definePlugin({
  type: "session-affinity-scorer",
  kinds: ["scorer"],
  summary: "Scores 1 for the server that the session is bound to, else 0",
  parameters,
  needsOf,
  create: (options, host): Scorer & RequestObserver => create(options, host),
});
