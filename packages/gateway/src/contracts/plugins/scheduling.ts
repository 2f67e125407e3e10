/**
 * The scheduling layer's plugins: profiles of filters, scorers and a picker, a handler that chooses profiles, and
 * producers of what they read.
 *
 * Everything is synchronous and runs within one turn of the event loop: a cycle over 10 endpoints takes microseconds.
 * Arrays are indexed by *position*: the place of an endpoint in `Candidates.endpoints`, which stays the same through
 * all profiles of one request.
 */
import type { HeaderList, HeaderMap } from "../../core/headers.ts";
import type { RequestTraits } from "../../core/request-traits.ts";
import type { EndpointLoad, ServerSignals } from "../../core/server-signals.ts";
import type { TokenUsage } from "../../core/forward.ts";
import type { PluginSpec } from "./plugin.ts";

/** An endpoint as plugins see it. What changes is read in place: nothing is copied for a cycle. */
export interface SchedulableEndpoint {
  /** `pool/host:port`. */
  readonly id: string;
  /** `host:port`. */
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly signals: Readonly<ServerSignals>;
  readonly load: Readonly<EndpointLoad>;
  /** A small number that no other endpoint of the process has while this one lives; used again later. */
  readonly slot: number;
  /** Requests that may run at once. */
  readonly capacity: number;
  /**
   * Measured: completion tokens a second of single answers, or answers a second where none are told; 0 while unknown.
   * Not of the whole server: one that is given more would look faster.
   */
  readonly speed: number;
  /** True where the model is in the server's memory, or where the server does not tell. */
  isLoaded(model: string): boolean;
}

/** A request as plugins see it. */
export interface ScheduledRequest {
  readonly id: string;
  /** The model's name at the pool's servers: an adapter, or the base model. */
  readonly model: string;
  /** The model's name as the caller gave it; absent: the same. */
  readonly askedModel?: string;
  readonly headers: HeaderMap;
  readonly priority: number;
  readonly traits: RequestTraits;
  /** Estimated or counted. */
  readonly promptTokens: number;
  /** What the caller allows at most; undefined: it does not say. */
  readonly maxOutputTokens: number | undefined;
  /**
   * The parts of the body that a server's prefix cache depends on (messages, prompt, tools), in their order, as
   * they came; empty where nothing asks for them (`PluginNeeds.prompt`) or the dialect cannot tell. Views.
   */
  readonly promptBytes: readonly Uint8Array[];
  /** Bytes of the body. */
  readonly bytes: number;
  /** What producers have worked out, by `PluginHost.dataIndex`. Scorers and filters only read. */
  readonly data: unknown[];
}

/** The endpoints of one cycle, and which of them are still in the running. */
export interface Candidates {
  /** All that may be asked for the model, in a stable order. */
  readonly endpoints: readonly SchedulableEndpoint[];
  /** Positions of those still in the running: the first `count` entries, in ascending order. */
  readonly positions: Int32Array;
  readonly count: number;
  /** Leaves only the first `count` entries of `positions`, which the filter has rewritten in place. */
  keep(count: number): void;
}

/** Takes endpoints out of the running. One that leaves nobody refuses the request. */
export interface Filter {
  filter(candidates: Candidates, request: ScheduledRequest): void;
}

/** Says how good each endpoint is for the request. */
export interface Scorer {
  /**
   * Writes `scores[i]`, 0 (worst) to 1 (best), for each i below `candidates.count`: the score of
   * `endpoints[positions[i]]`. Values outside are clamped, NaN counts as 0.
   */
  score(candidates: Candidates, request: ScheduledRequest, scores: Float64Array): void;
}

/** Chooses by the weighted sums of the scores. */
export interface Picker {
  /**
   * Writes the positions chosen into `picked`, best first, and returns how many; at least 1 when `candidates.count`
   * is. `totals[i]` belongs to `positions[i]`.
   */
  pick(candidates: Candidates, totals: Float64Array, picked: Int32Array): number;
}

/** What a profile chose. */
export interface ProfileResult {
  readonly profile: string;
  /** Best first; the others are where a retry goes. */
  readonly endpoints: readonly SchedulableEndpoint[];
}

/** Chooses which profiles run, and which result counts. */
export interface ProfileHandler {
  /**
   * Asked again after the profiles it named have run; an empty list ends the cycle. Names that no profile has refuse
   * the request as the caller's mistake.
   */
  next(
    request: ScheduledRequest,
    profiles: readonly string[],
    results: ReadonlyMap<string, ProfileResult>,
  ): readonly string[];
  /** Name of the profile whose endpoints take the request. */
  primary(results: ReadonlyMap<string, ProfileResult>): string;
  /** Throws a `GatewayError` (`bad_request`) where it cannot work with these profiles. Called once, at the start. */
  check?(profiles: readonly string[]): void;
}

/** How a request came out at the endpoint that served it. */
export interface ServedEnd {
  /** False where it failed, was cut or called off. */
  readonly ok: boolean;
  /** True where the server has computed the prompt: otherwise what was assumed of its cache does not hold. */
  readonly prefilled: boolean;
  readonly usage: TokenUsage | undefined;
  /** The text of the answer, where a plugin asks for it and the dialect tells; bounded. */
  readonly replyText?: string | undefined;
  readonly firstTokenMs: number | undefined;
  readonly durationMs: number;
}

/** Headers that go out with the answer. */
export interface AnswerMarker {
  /** What the caller is told of the endpoint that answers; undefined: nothing. */
  answerHeaders?(request: ScheduledRequest, endpoint: SchedulableEndpoint): HeaderList | undefined;
}

/** Hears what becomes of requests; any plugin of the scheduling layer may be one too. */
export interface RequestObserver extends AnswerMarker {
  /** The request goes to the endpoint; for a retry again, to another. */
  dispatched?(request: ScheduledRequest, endpoint: SchedulableEndpoint): void;
  /** The first piece of the answer has come. */
  firstToken?(request: ScheduledRequest, endpoint: SchedulableEndpoint): void;
  /** Exactly once for each `dispatched`. */
  ended?(request: ScheduledRequest, endpoint: SchedulableEndpoint, end: ServedEnd): void;
  /** The endpoint is gone; its slot may be used again. */
  forgotten?(endpoint: SchedulableEndpoint): void;
}

/** Works out a value of the request that filters and scorers read: once, before the first profile runs. */
export interface Producer extends RequestObserver {
  /** Writes `request.data[index]` for the keys that it produces. */
  produce(request: ScheduledRequest, endpoints: readonly SchedulableEndpoint[]): void;
  /**
   * For work on one request that is longer than 5 ms (a prompt of megabytes): a promise to wait for before `produce`.
   * Undefined: `produce` may be called at once.
   */
  prepare?(request: ScheduledRequest): Promise<void> | undefined;
  /**
   * What a twin of this producer in a shadow's thread gets instead of `promptBytes`: what it has found for the endpoints of
   * the cycle, in their order. Called right after the cycle; the bytes are copied at once. Undefined: nothing. Absent, or
   * where no live producer has the name: the prompt itself is sent, up to a bound, if the shadow reads it.
   */
  digest?(request: ScheduledRequest): Uint8Array | undefined;
  /** In the thread, before `produce`: what `digest` of the live producer of the same name gave. */
  adopt?(request: ScheduledRequest, digest: Uint8Array): void;
}

/** How much of a request's prompt each endpoint has in its cache. */
export interface PrefixMatch {
  /** Blocks that match, by position. Valid until the next request is scheduled. */
  readonly matched: Int32Array;
  /** The most blocks that match at one endpoint. */
  readonly longest: number;
  /** Blocks that the prompt has; 0 where the prompt is not known. */
  readonly total: number;
  readonly blockTokens: number;
}

/** A profile of the configuration: names of plugins. */
export interface ProfileSpec {
  readonly name: string;
  /** In the order in which they run. */
  readonly filters: readonly string[];
  readonly scorers: readonly { readonly plugin: string; readonly weight: number }[];
  readonly picker: string;
}

/** A whole scheduling layer, as the configuration says it. Both kinds of configuration file are read into it. */
export interface SchedulingSpec {
  readonly plugins: readonly PluginSpec[];
  readonly profiles: readonly [ProfileSpec, ...ProfileSpec[]];
  readonly handler: string;
  /** Makes what chance decides the same again; absent: the process's randomness. */
  readonly seed?: number;
  /** Profiles that are run beside the live ones and change nothing. */
  readonly shadows: readonly ProfileSpec[];
}

/**
 * Hears of a cycle step by step: for metrics, explanations and shadows. Called synchronously on the hot path, never
 * throws and changes nothing. What it is given is to be read during the call. A cycle that no tracer hears of costs nothing.
 */
export interface CycleTracer {
  /** A cycle begins; producers have run. `candidates` are all that may be asked. */
  begin(request: ScheduledRequest, candidates: Candidates): void;
  /** A profile of the cycle begins; `candidates` are all again. */
  profile(name: string): void;
  /** A filter has run; `candidates` are those it left. */
  filtered(plugin: string, candidates: Candidates): void;
  /** A scorer has run: `scores[i]`, clamped, belongs to `positions[i]`. */
  scored(plugin: string, weight: number, candidates: Candidates, scores: Float64Array): void;
  /** The profile has chosen the first `count` of `picked`; none where its filters left nobody. `totals[i]` belongs to `positions[i]`. */
  picked(candidates: Candidates, totals: Float64Array, picked: Int32Array, count: number): void;
  /** The cycle has ended, with the endpoints that take the request, best first; none where it was refused. */
  end(request: ScheduledRequest, endpoints: readonly SchedulableEndpoint[]): void;
}
