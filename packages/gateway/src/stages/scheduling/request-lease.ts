/** The load of one forwarded request: a place at each endpoint where an attempt runs, given back exactly once. */
import type { FlowHold } from "../../contracts/flow-gate.ts";
import type { AttemptResult, ForwardLease, HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { RequestObserver, ServedEnd } from "../../contracts/plugins/scheduling.ts";
import type { Named } from "../../contracts/plugins/wired-scheduling.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { Outcome } from "../../core/outcome.ts";
import { countSent, uncountSent } from "../../core/server-signals.ts";
import type { AskedRequest } from "./asked-request.ts";

/** The end of an attempt that never began. */
const neverSent: AttemptResult = {
  kind: "cancelled",
  status: undefined,
  retryAfterMs: undefined,
  firstTokenMs: undefined,
  durationMs: 0,
  usage: undefined,
};

/** What all leases of a pool share. */
export interface LeaseContext {
  readonly observers: readonly Named<RequestObserver>[];
  /** Leases that are not settled. */
  open: number;
  /** A place has come free. */
  readonly onRoom: () => void;
  /** A plugin has thrown. */
  readonly onFault: (plugin: string, error: unknown) => void;
}

/** When the request got in line, and when it left it, on the clock. */
export interface LeaseTimes {
  readonly enqueuedAt: number;
  readonly grantedAt: number;
}

/** What an attempt adds to an endpoint's load. */
class Place {
  readonly endpoint: HttpEndpoint;
  readonly outputTokens: number;
  readonly sentAt: number;
  /** Prompt tokens still to be computed; 0 after the first token. */
  promptTokens: number;

  constructor(endpoint: HttpEndpoint, promptTokens: number, outputTokens: number) {
    this.endpoint = endpoint;
    this.promptTokens = promptTokens;
    this.outputTokens = outputTokens;
    const { load } = endpoint;
    load.requests++;
    load.promptTokens += promptTokens;
    load.outputTokens += outputTokens;
    this.sentAt = countSent(load);
    endpoint.acquire();
  }

  promptDone(): void {
    this.endpoint.load.promptTokens -= this.promptTokens;
    this.promptTokens = 0;
  }

  /** Takes the work off the load; the endpoint itself is released last, since it may be gone then. */
  leave(): void {
    const { load } = this.endpoint;
    this.promptDone();
    load.requests--;
    load.outputTokens -= this.outputTokens;
    uncountSent(load, this.sentAt);
  }
}

/** Holds one place at most times, two while a hedge runs. */
export class RequestLease implements ForwardLease {
  readonly enqueuedAt: number;
  readonly grantedAt: number;
  readonly scheduled: AskedRequest;
  /** What flow control counts of the request; set by whoever grants the place. */
  flow: FlowHold | undefined;
  readonly #context: LeaseContext;
  #first: Place | undefined;
  #second: Place | undefined;
  #isSettled = false;

  /** Takes the first place. */
  constructor(context: LeaseContext, asked: AskedRequest, endpoint: HttpEndpoint, times: LeaseTimes) {
    this.enqueuedAt = times.enqueuedAt;
    this.grantedAt = times.grantedAt;
    this.scheduled = asked;
    this.#context = context;
    context.open++;
    this.#first = this.#take(endpoint);
  }

  /** Attempts that hold a place now. */
  get places(): number {
    return (this.#first === undefined ? 0 : 1) + (this.#second === undefined ? 0 : 1);
  }

  acquire(endpoint: HttpEndpoint): void {
    if (this.#first === undefined) this.#first = this.#take(endpoint);
    else if (this.#second === undefined) this.#second = this.#take(endpoint);
    else throw new RangeError("a request runs at two endpoints at most");
  }

  firstToken(endpoint: HttpEndpoint): void {
    const place = this.#placeAt(endpoint);
    if (place === undefined) return;
    place.promptDone();
    for (const { plugin, name } of this.#context.observers) {
      try {
        plugin.firstToken?.(this.scheduled, endpoint);
      } catch (error) {
        this.#context.onFault(name, error);
      }
    }
  }

  answerHeaders(endpoint: HttpEndpoint): HeaderList {
    let all: HeaderList = none;
    for (const { plugin, name } of this.#context.observers) {
      try {
        const headers = plugin.answerHeaders?.(this.scheduled, endpoint);
        if (headers !== undefined) all = all === none ? headers : [...all, ...headers];
      } catch (error) {
        this.#context.onFault(name, error);
      }
    }
    return all;
  }

  release(endpoint: HttpEndpoint, result: AttemptResult): void {
    const place = this.#placeAt(endpoint);
    if (place === undefined) return;
    if (place === this.#first) this.#first = undefined;
    else this.#second = undefined;
    this.#leave(place, result);
    this.#context.onRoom();
  }

  settle(_outcome: Outcome): void {
    if (this.#first !== undefined) this.release(this.#first.endpoint, neverSent);
    if (this.#second !== undefined) this.release(this.#second.endpoint, neverSent);
    const { flow } = this;
    this.flow = undefined;
    flow?.ended(this.scheduled.request.usage);
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#context.open--;
  }

  #placeAt(endpoint: HttpEndpoint): Place | undefined {
    if (this.#first?.endpoint === endpoint) return this.#first;
    return this.#second?.endpoint === endpoint ? this.#second : undefined;
  }

  #take(endpoint: HttpEndpoint): Place {
    const { scheduled: asked } = this;
    const place = new Place(endpoint, asked.uncachedTokens(endpoint), asked.outputTokens);
    for (const { plugin, name } of this.#context.observers) {
      try {
        plugin.dispatched?.(asked, endpoint);
      } catch (error) {
        this.#context.onFault(name, error);
      }
    }
    return place;
  }

  #leave(place: Place, result: AttemptResult): void {
    const { endpoint } = place;
    place.leave();
    this.#tellEnd(endpoint, result);
    endpoint.release(result);
    // The server loaded it for this request: those that follow are to find it there.
    if (result.kind === "ok" && !endpoint.isLoaded(this.scheduled.model)) endpoint.refresh();
  }

  #tellEnd(endpoint: HttpEndpoint, result: AttemptResult): void {
    const { observers } = this.#context;
    if (observers.length === 0) return;
    const end = endOf(result);
    for (const { plugin, name } of observers) {
      try {
        plugin.ended?.(this.scheduled, endpoint, end);
      } catch (error) {
        this.#context.onFault(name, error);
      }
    }
  }
}

const none: HeaderList = [];

/** A caller who leaves in the middle of an answer leaves the prompt in the server's cache. */
function endOf({ kind, usage, firstTokenMs, durationMs }: AttemptResult): ServedEnd {
  const ok = kind === "ok";
  const prefilled = ok || (kind === "cancelled" && firstTokenMs !== undefined);
  return { ok, prefilled, usage, firstTokenMs, durationMs };
}
