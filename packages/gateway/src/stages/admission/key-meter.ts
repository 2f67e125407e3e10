/** What one key uses against its limits. In memory, without timers; a restart begins anew. */
import type { KeyLimits } from "../../contracts/options.ts";
import type { MetricValue } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { TokenEstimate, TokenUsage } from "../../core/forward.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { CallerMeter, Reservation } from "../../core/meter.ts";
import type { KeyMeters, KeyRefusal } from "./key-metrics.ts";
import { TokenBucket, type BucketRate } from "./token-bucket.ts";

/** Completion tokens reserved for a request that does not say how many it wants at most. */
export const defaultCompletionTokens = 1_024;

/** How long a caller is asked to wait for one of its own requests to end. */
const concurrencyRetryMs = 1_000;

/** What a meter is made from. */
export interface KeyMeterParts {
  readonly id: string;
  readonly limits: KeyLimits;
  readonly clock: Clock;
  readonly meters: KeyMeters;
}

/** Counts one key. Keeps its state when the key's limits change. */
export class KeyMeter implements CallerMeter {
  readonly #parts: KeyMeterParts;
  #limits: KeyLimits;
  #requests: TokenBucket | undefined;
  #tokens: TokenBucket | undefined;
  readonly #admitted: MetricValue;
  readonly #inFlight: MetricValue;
  /** Made with the first token of its kind: a key that uses none shows none. */
  readonly #counters: Record<(typeof tokenKinds)[number], MetricValue | undefined> = {
    prompt: undefined,
    completion: undefined,
  };
  #active = 0;

  constructor(parts: KeyMeterParts) {
    this.#parts = parts;
    this.#limits = parts.limits;
    this.#admitted = parts.meters.requests.with(parts.id);
    this.#inFlight = parts.meters.inFlight.with(parts.id);
    this.configure(parts.limits);
  }

  /** Goes on with other limits. What was used counts on. */
  configure(limits: KeyLimits): void {
    const now = this.#parts.clock.now();
    this.#limits = limits;
    this.#requests = changed(this.#requests, requestRate(limits), now);
    this.#tokens = changed(this.#tokens, tokenRate(limits), now);
  }

  admit(): Failure | undefined {
    this.#admitted.value++;
    const bucket = this.#requests;
    if (bucket === undefined) return undefined;
    const waitMs = bucket.waitFor(1, this.#parts.clock.now());
    if (waitMs > 0) return this.#refuse("requests", waitMs);
    bucket.charge(1);
    return undefined;
  }

  enter(estimate: TokenEstimate | undefined): Reservation | Failure {
    const { concurrency } = this.#limits;
    if (concurrency !== undefined && this.#active >= concurrency) {
      return this.#refuse("concurrency", concurrencyRetryMs);
    }
    const bucket = this.#tokens;
    // What is larger than the whole limit waits for a full bucket; settling then leaves it in debt.
    const reserved = bucket === undefined ? 0 : Math.min(tokensOf(estimate), bucket.capacity);
    if (bucket !== undefined && reserved > 0) {
      const waitMs = bucket.waitFor(reserved, this.#parts.clock.now());
      if (waitMs > 0) return this.#refuse("tokens", waitMs);
      bucket.charge(reserved);
    }
    this.#active++;
    this.#inFlight.value++;
    return new KeyReservation(this, reserved);
  }

  headers(): HeaderList {
    const now = this.#parts.clock.now();
    const list: [string, string][] = [];
    if (this.#requests !== undefined) addHeaders(list, requestHeaders, this.#requests, now);
    if (this.#tokens !== undefined) addHeaders(list, tokenHeaders, this.#tokens, now);
    return list;
  }

  forbidden(what: "scope" | "model"): void {
    this.#countRefusal(what);
  }

  /** Counts a request with a key whose time has passed. */
  expired(): void {
    this.#countRefusal("expired");
  }

  /** Forgets the figures of a key that is gone. */
  forget(): void {
    const { id, meters } = this.#parts;
    meters.requests.remove(id);
    meters.inFlight.remove(id);
    for (const kind of tokenKinds) meters.tokens.remove(id, kind);
    for (const reason of refusals) meters.refused.remove(id, reason);
  }

  /** Of a reservation, once: its place, and what it really used. */
  settle(reserved: number, usage: TokenUsage | undefined): void {
    this.#active--;
    this.#inFlight.value--;
    const { promptTokens, completionTokens } = usage ?? noUsage;
    this.#tokens?.charge(promptTokens + completionTokens - reserved);
    this.#count("prompt", promptTokens);
    this.#count("completion", completionTokens);
  }

  #count(kind: (typeof tokenKinds)[number], tokens: number): void {
    if (tokens <= 0) return;
    const counter = (this.#counters[kind] ??= this.#parts.meters.tokens.with(this.#parts.id, kind));
    counter.value += tokens;
  }

  #countRefusal(reason: KeyRefusal): void {
    this.#parts.meters.refused.with(this.#parts.id, reason).value++;
  }

  #refuse(reason: "requests" | "tokens" | "concurrency", waitMs: number): Failure {
    this.#countRefusal(reason);
    return failure("rate_limited", refusalText(reason, this.#parts.id, this.#limits), Math.ceil(waitMs));
  }
}

const tokenKinds = ["prompt", "completion"] as const;
const refusals: readonly KeyRefusal[] = ["expired", "scope", "model", "requests", "tokens", "concurrency"];
const noUsage = { promptTokens: 0, completionTokens: 0 };

/** Held by the request; the door settles it. */
class KeyReservation implements Reservation {
  readonly #meter: KeyMeter;
  readonly #reserved: number;
  #isOpen = true;

  constructor(meter: KeyMeter, reserved: number) {
    this.#meter = meter;
    this.#reserved = reserved;
  }

  settle(usage: TokenUsage | undefined): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#meter.settle(this.#reserved, usage);
  }
}

/** What a request may use at most, as far as can be told before it is sent. */
function tokensOf(estimate: TokenEstimate | undefined): number {
  if (estimate === undefined) return 0;
  return estimate.promptTokens + (estimate.maxCompletionTokens ?? defaultCompletionTokens);
}

function requestRate({ requestsPerMinute, burst }: KeyLimits): BucketRate | undefined {
  if (requestsPerMinute === undefined) return undefined;
  return { perMinute: requestsPerMinute, capacity: burst ?? requestsPerMinute };
}

function tokenRate({ tokensPerMinute }: KeyLimits): BucketRate | undefined {
  if (tokensPerMinute === undefined) return undefined;
  return { perMinute: tokensPerMinute, capacity: tokensPerMinute };
}

function changed(
  bucket: TokenBucket | undefined,
  rate: BucketRate | undefined,
  now: number,
): TokenBucket | undefined {
  if (rate === undefined) return undefined;
  if (bucket === undefined) return new TokenBucket(rate, now);
  bucket.change(rate, now);
  return bucket;
}

function refusalText(reason: "requests" | "tokens" | "concurrency", id: string, limits: KeyLimits): string {
  switch (reason) {
    case "requests":
      return `The key ${id} may make ${limits.requestsPerMinute} requests a minute${limits.burst === undefined ? "" : `, ${limits.burst} at once`}`;
    case "tokens":
      return `The key ${id} may use ${limits.tokensPerMinute} tokens a minute, and what this request may use is not left of them`;
    case "concurrency":
      return `The key ${id} may have ${limits.concurrency} requests under way at once`;
  }
}

/** As OpenAI names them (https://platform.openai.com/docs/guides/rate-limits): the rate of a minute, what may come at once now, time until all of that is back. */
interface RateHeaders {
  readonly limit: string;
  readonly remaining: string;
  readonly reset: string;
}

const requestHeaders: RateHeaders = {
  limit: "x-ratelimit-limit-requests",
  remaining: "x-ratelimit-remaining-requests",
  reset: "x-ratelimit-reset-requests",
};

const tokenHeaders: RateHeaders = {
  limit: "x-ratelimit-limit-tokens",
  remaining: "x-ratelimit-remaining-tokens",
  reset: "x-ratelimit-reset-tokens",
};

function addHeaders(list: [string, string][], names: RateHeaders, bucket: TokenBucket, now: number): void {
  const { capacity, perMinute } = bucket;
  list.push(
    [names.limit, String(perMinute)],
    [names.remaining, String(bucket.remaining(now))],
    [names.reset, formatReset(bucket.waitFor(capacity, now))],
  );
}

/** `0s`, `120ms`, `8.64s`, `6m0s`. */
export function formatReset(ms: number): string {
  if (ms <= 0) return "0s";
  if (ms < 1_000) return `${Math.ceil(ms)}ms`;
  if (ms < 60_000) return `${Math.ceil(ms / 10) / 100}s`;
  const seconds = Math.ceil(ms / 1_000);
  return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
