/** HTTP servers behind the gateway, as scheduling, upstream and the surfaces see them. */
import type { Failure } from "../core/errors.ts";
import type { ForwardPayload, AttemptTarget, ChatDialect, TokenUsage } from "../core/forward.ts";
import type { HeaderList } from "../core/headers.ts";
import type { InferenceRequest } from "../core/request.ts";
import type { EndpointLoad } from "../core/server-signals.ts";
import type { ServerConnection } from "./connection.ts";
import type { Endpoint } from "./endpoint.ts";
import type { EscalationRule, EscalationStory } from "./escalation.ts";
import type { Inspect } from "./inspect.ts";
import type { Lease } from "./lease.ts";
import type { FlowGate } from "./flow-gate.ts";
import type { Line, LineCost } from "./line.ts";
import type { SchedulableEndpoint, ScheduledRequest } from "./plugins/scheduling.ts";
import type { WiredScheduling } from "./plugins/wired-scheduling.ts";
import type { Scarcity } from "./scarcity.ts";

/**
 * - `loading`: reached, but it has not yet said what it serves, or says it is starting.
 * - `ready`: takes requests.
 * - `busy`: takes requests but says that it is full (503 of a server that is otherwise well).
 * - `rate-limited`: asked to be left alone until a time.
 * - `misconfigured`: refuses our credentials or speaks another dialect; only probes go there.
 * - `draining`: no longer in the pool; what runs is finished.
 * - `unhealthy`: probes or requests fail; only probes and the one half-open request go there.
 */
export const httpEndpointStates = [
  "loading",
  "ready",
  "busy",
  "rate-limited",
  "misconfigured",
  "draining",
  "unhealthy",
] as const;

/** One of `httpEndpointStates`. */
export type HttpEndpointState = (typeof httpEndpointStates)[number];

/** How one attempt at an endpoint ended; the endpoint judges its health by it. */
export interface AttemptResult {
  /**
   * - `ok`: a good answer, whole.
   * - `refused`: an answer with a status of 400 or more.
   * - `connect`, `closed`, `malformed`: see `ServerError`; `malformed` also for an answer no reader could make sense of.
   * - `timeout`: it took longer than the pool allows.
   * - `cancelled`: nobody wanted it any more; says nothing about the server.
   */
  readonly kind: "ok" | "refused" | "connect" | "closed" | "malformed" | "timeout" | "cancelled";
  readonly status: number | undefined;
  /** The status says that the server failed, and its text that the caller's request is at fault: nothing about the server. */
  readonly isCallersMistake?: boolean;
  readonly retryAfterMs: number | undefined;
  /** From sending to the first content; undefined where there was none. */
  readonly firstTokenMs: number | undefined;
  readonly durationMs: number;
  readonly usage: TokenUsage | undefined;
}

/** One HTTP server of a pool. */
export interface HttpEndpoint extends Endpoint, SchedulableEndpoint, Inspect {
  readonly id: string;
  /** What its discovery calls it; undefined: it has no other name than its address. */
  readonly placeName?: { readonly name: string; readonly namespace: string } | undefined;
  /** Written by the leases of scheduling. */
  readonly load: EndpointLoad;
  readonly state: HttpEndpointState;
  /** Until when it asked to be left alone, on the clock; set while it is `busy` or `rate-limited` only. */
  readonly pausedUntil: number | undefined;
  readonly connection: ServerConnection;
  /** What it speaks; undefined while neither it nor the configuration has said. */
  readonly dialect: ChatDialect | undefined;
  /**
   * What it serves, or holds in memory, has changed: it is asked again soon. `done` is called once it was asked,
   * whatever came of it, or closed.
   */
  refresh(done?: () => void): void;
  /** Undefined: the server does not serve the model. */
  targetFor(model: string): AttemptTarget | undefined;
  /** Attempts that run here. */
  readonly inFlight: number;
  /** Begins an attempt. In the half-open state it takes the one place there is. */
  acquire(): void;
  /** Ends an attempt. Exactly once for each `acquire`. */
  release(result: AttemptResult): void;
}

/** A model as a pool offers it. */
export interface PooledModel {
  readonly name: string;
  readonly pool: string;
  /** The dialects its servers speak, without repeats. */
  readonly dialects: readonly ChatDialect[];
  /** Endpoints that serve it and are ready; where none is, requests for it may be sent to the others all the same. */
  readonly ready: number;
  readonly endpoints: number;
  /** Servers that hold it in memory. */
  readonly loaded: number;
  /** What `/api/tags` or `/v1/models` of the first server that has it says of it, as it came; bounded. */
  readonly card: Readonly<Record<string, unknown>> | undefined;
  /** What `/api/ps` says of it where it is loaded, by endpoint id. */
  readonly running: readonly {
    readonly endpoint: string;
    readonly card: Readonly<Record<string, unknown>>;
  }[];
}

/** Timeouts of requests to a pool's servers, ms. */
export interface ForwardTimeouts {
  /** From sending to the first content; a cold model load falls into it. */
  readonly firstTokenMs: number;
  /** Between two pieces of a streamed answer. */
  readonly idleMs: number;
  /** From sending to the last byte. */
  readonly totalMs: number;
}

/** When and how often a request is tried again. */
export interface RetryOptions {
  /** Further attempts of one request at most; 0 is none. */
  readonly maxRetries: number;
  /** First pause; each further one is twice as long, of which a random part is waited. */
  readonly backoffMs: number;
  /** Undefined: no hedging. */
  readonly hedging: HedgingOptions | undefined;
}

/** A second attempt beside a slow first. */
export interface HedgingOptions {
  /** At most this share of the pool's requests, 0 to 1. */
  readonly maxShare: number;
}

/** A pool of HTTP servers. */
export interface HttpPool extends Inspect {
  readonly name: string;
  readonly timeouts: ForwardTimeouts;
  readonly retry: RetryOptions;
  /** The line in front of the pool, drained by scheduling. */
  readonly line: Line<ForwardPayload, LineCost>;
  /** How an endpoint is chosen; absent: by the stage's default. Of this pool alone. */
  readonly scheduling?: WiredScheduling | undefined;
  /** Absent: an endpoint with room is all that a request waits for. */
  readonly gate?: FlowGate | undefined;
  /**
   * Whether a request has to be here whole before an endpoint is chosen: what chooses, or who waits, depends on its body,
   * or the pool's models are a list that it is held against. Absent: true.
   */
  readonly needsBody?: boolean;
  /** How scarce its servers are, model by model; absent: nobody measures it. */
  readonly scarcity?: Scarcity | undefined;
  /** All endpoints that serve the model, in whatever state; empty when none does. */
  endpointsFor(model: string): readonly HttpEndpoint[];
  /** Endpoints that new attempts for the model may go to: healthy ones, or where there are none those that were ejected. */
  candidatesFor(model: string): readonly HttpEndpoint[];
  /**
   * Why waiting for the model would be in vain, while there is no candidate. Undefined: it may be waited
   * for, since a server is loading, or busy or rate-limited for a short time.
   */
  refusalFor(model: string): Failure | undefined;
  /**
   * True while the pool has no endpoint at all and its flow control lets requests wait for one: requests for the model,
   * where the configuration names it or any will do; without a model, requests that were sent here by name. Absent: never.
   */
  awaits?(model?: string): boolean;
  /** False while none of its servers has ever said what it serves and nothing is configured either. */
  readonly answered: boolean;
  readonly endpoints: readonly HttpEndpoint[];
  /** True for the gateway's own engine: its models are the files of a folder, no call brings or removes one. */
  readonly isOwn: boolean;
  models(): readonly PooledModel[];
  /** Calls back when an endpoint came, went, recovered or has room again. One listener. */
  onRoom(listener: () => void): void;
  /** Calls back when an endpoint is gone for good, in the turn in which its slot comes free. One listener. */
  onGone?(listener: (endpoint: HttpEndpoint) => void): void;
}

/** The pools of HTTP servers there are now, for the surfaces that list models. */
export interface ForwardCatalog {
  /** In the order in which they are asked for a model; those found on this machine come last. */
  pools(): readonly HttpPool[];
  /** Models of all pools. One that several have is there once: that of the pool which requests go to. */
  models(): readonly PooledModel[];
  /** False until every server was asked what it serves, whatever came of it. */
  ready(): boolean;
}

/** Where a request is to go: one model of one pool. */
export interface ForwardRoute {
  readonly pool: HttpPool;
  /** The model's name in that pool. */
  readonly model: string;
  /** When it may go to another place instead; absent: never. */
  readonly escalate?: EscalationRule;
}

/** The load of a forwarded request: one place at each endpoint where an attempt runs. */
export interface ForwardLease extends Lease {
  /** The request as the pool's plugins see it; absent where they see none. */
  readonly scheduled?: ScheduledRequest | undefined;
  /** The first piece of the answer has come: what the prompt cost the server is done. */
  firstToken?(endpoint: HttpEndpoint): void;
  /** What the caller is told beside the answer, by plugins. */
  answerHeaders?(endpoint: HttpEndpoint): HeaderList;
  /** A further attempt begins at an endpoint where none of this request runs. */
  acquire(endpoint: HttpEndpoint): void;
  /** An attempt has ended; once for each endpoint that the lease holds. What it does not hold is left alone. */
  release(endpoint: HttpEndpoint, result: AttemptResult): void;
}

/** Where a forwarded request goes, and the load it holds there. */
export interface ForwardDecision {
  readonly kind: "forward";
  readonly request: InferenceRequest<ForwardPayload>;
  readonly route: ForwardRoute;
  readonly endpoints: readonly [HttpEndpoint, ...HttpEndpoint[]];
  readonly lease: ForwardLease;
  /** Of a request on a route that escalates. */
  readonly escalation?: EscalationTicket;
}

/** What a request on a route that escalates takes along. */
export interface EscalationTicket {
  readonly story: EscalationStory;
  readonly rule: EscalationRule;
  /** The place that the route names first, wherever the decision is for. */
  readonly here: ForwardRoute;
}
