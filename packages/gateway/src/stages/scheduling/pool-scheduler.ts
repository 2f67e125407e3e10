/** Scheduling for one pool: finds endpoints by the pool's profiles, holds places, drains the line. */
import type { ForwardDecision, ForwardRoute, HttpEndpoint, HttpPool } from "../../contracts/http-endpoint.ts";
import type { LineCost, Waiter } from "../../contracts/line.ts";
import type { SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import type { Clock } from "../../core/clock.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { ForwardPayload } from "../../core/forward.ts";
import type { InferenceRequest } from "../../core/request.ts";
import { AskedRequest } from "./asked-request.ts";
import type { ProfileEngine } from "./profile-engine.ts";
import { RequestLease, type LeaseContext, type LeaseTimes } from "./request-lease.ts";
import { admitted, noneAdmitted, readShape, type WaitingShape } from "./waiting-shape.ts";

type Request = InferenceRequest<ForwardPayload>;
type Endpoints = readonly HttpEndpoint[];
type Choice = ForwardDecision["endpoints"];

/** A lease on its way from the line's drain to who waits. */
class GrantedLease extends RequestLease {
  endpoints: Choice | undefined;
}

/** What a scheduler of a pool needs. */
export interface PoolSchedulerOptions {
  readonly pool: HttpPool;
  readonly engine: ProfileEngine;
  readonly clock: Clock;
  /** A plugin has thrown. */
  readonly onFault: (plugin: string, error: unknown) => void;
}

/** Requests at an endpoint, in multiples of its capacity, beyond which none is sent that no other endpoint may take. */
const overflow = 2;

/** How long a request in line is held to prefer the same server, ms: a look at its prompt and all servers is not free. */
const preferenceMs = 100;

/** One pool's part of the stage. */
export class PoolScheduler {
  readonly #pool: HttpPool;
  readonly #engine: ProfileEngine;
  readonly #clock: Clock;
  readonly #leases: LeaseContext;
  /** Endpoints with room, gathered anew for each request. */
  readonly #open: HttpEndpoint[] = [];
  /** The request that was asked about last: `wait` comes right after `decide`. */
  #last: AskedRequest | undefined;
  /** Requests whose prompts are looked at before they join the line. */
  #preparing = 0;
  #isDraining = false;
  #drainAgain = false;
  readonly #suits = (waiter: Waiter<ForwardPayload, LineCost>): boolean => this.#suitsRoom(waiter);
  readonly #fits = (shapeKey: string, priority: number): boolean => this.#mayGo(shapeKey, priority);

  constructor({ pool, engine, clock, onFault }: PoolSchedulerOptions) {
    this.#pool = pool;
    this.#engine = engine;
    this.#clock = clock;
    const drain = (): void => this.#drain();
    const { gate } = pool;
    gate?.onOpening(drain);
    // A gate that hears of it calls back: what it has found of the servers before is no longer so.
    const onRoom = gate === undefined ? drain : (): void => gate.changed();
    this.#leases = { observers: engine.wired.observers, open: 0, onRoom, onFault };
    pool.onRoom(onRoom);
    pool.line.onArrival(drain);
    const forget = (endpoint: HttpEndpoint): void => this.#forget(endpoint);
    pool.onGone?.(forget);
  }

  /** True while the pool has nothing to do with any request: none in line, none under way, none between two attempts. */
  get isIdle(): boolean {
    return this.#leases.open === 0 && this.#preparing === 0 && this.#pool.line.length === 0;
  }

  /** As `Scheduling.decide`. */
  decide(route: ForwardRoute, request: Request): ForwardDecision | Failure | undefined {
    const { model } = route;
    const { line, gate } = this.#pool;
    const asked = this.#asked(request, model);
    const refusal = this.#refusal(asked);
    if (refusal !== undefined) return refusal;
    const all = this.#pool.candidatesFor(model);
    if (all.length === 0) return this.#refusalWithout(model);
    if (line.length > 0 || gate?.mayDispatch(model, request.priority) === false) return undefined;
    const candidates = admitted(all, request.only);
    const open = this.#withRoom(candidates);
    if (open.length === 0) return undefined;
    if (!asked.isPrepared && this.#prepare(asked) !== undefined) return undefined;
    const choice = this.#choose(asked, open, candidates);
    if (isFailure(choice)) return choice;
    const times = { enqueuedAt: request.receivedAt, grantedAt: this.#clock.now() };
    const lease = new RequestLease(this.#leases, asked, choice[0], times);
    lease.flow = gate?.granted({ model, request, endpoint: choice[0], charged: undefined });
    this.#last = undefined;
    return { kind: "forward", request, route, endpoints: choice, lease };
  }

  /** As `Scheduling.wait`. */
  wait(route: ForwardRoute, request: Request, done: (result: ForwardDecision | Failure) => void): void {
    const asked = this.#asked(request, route.model);
    this.#last = undefined;
    const refusal = this.#refusal(asked);
    if (refusal !== undefined) return done(refusal);
    const preparing = asked.preparing ?? this.#prepare(asked);
    if (preparing === undefined) return this.#join(route, asked, done);
    void this.#joinAfter(preparing, route, asked, done);
  }

  /** Another endpoint, for a further attempt: see `Scheduling.another`. */
  another({ model }: ForwardRoute, tried: Endpoints, decision: ForwardDecision): HttpEndpoint | undefined {
    const { only } = decision.request;
    const candidates = admitted(this.#pool.candidatesFor(model), only);
    if (candidates.length === 0) return soonest(admitted(this.#pool.endpointsFor(model), only));
    // The one place of a server on trial is not shared; that of another is one of many.
    const able = candidates.filter(
      ({ state, inFlight, capacity }) => state === "ready" || inFlight < capacity,
    );
    const all = able.length > 0 ? able : candidates;
    const fresh = all.filter((endpoint) => !tried.includes(endpoint));
    const fallback = decision.endpoints.find(
      (endpoint) => fresh.includes(endpoint) && endpoint.inFlight < endpoint.capacity,
    );
    if (fallback !== undefined) return fallback;
    const asked = this.#askedAgain(model, decision);
    return (fresh.length > 0 ? this.#best(asked, fresh) : undefined) ?? this.#best(asked, all);
  }

  async #joinAfter(
    preparing: Promise<void>,
    route: ForwardRoute,
    asked: AskedRequest,
    done: (result: ForwardDecision | Failure) => void,
  ): Promise<void> {
    this.#preparing++;
    await preparing.finally(() => this.#preparing--);
    asked.preparing = undefined;
    const { model } = asked;
    // Candidates may have gone meanwhile; what else has changed the line sees.
    const isServed = this.#pool.candidatesFor(model).length > 0;
    const refusal = isServed ? undefined : this.#refusalWithout(model);
    if (refusal === undefined) this.#join(route, asked, done);
    else done(refusal);
  }

  #join(route: ForwardRoute, asked: AskedRequest, done: (result: ForwardDecision | Failure) => void): void {
    const { request } = asked;
    this.#pool.line.join({
      request,
      bound: asked,
      done: (result) => {
        if (result instanceof GrantedLease && result.endpoints !== undefined) {
          return done({ kind: "forward", request, route, endpoints: result.endpoints, lease: result });
        }
        if (!isFailure(result)) throw new TypeError("a place that is not of this line");
        done(result);
      },
    });
  }

  #drain(): void {
    // Grants and refusals end in callers' code, which may make room in turn.
    this.#drainAgain = true;
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      while (this.#drainAgain) {
        this.#drainAgain = false;
        this.#serveAll();
      }
    } finally {
      this.#isDraining = false;
    }
  }

  #serveAll(): void {
    const { line } = this.#pool;
    while (line.length > 0) {
      const [waiter] = line.take({ maxRows: 1, fits: this.#fits, suits: this.#suits });
      if (waiter === undefined) return;
      this.#serve(waiter);
    }
  }

  #serve(waiter: Waiter<ForwardPayload, LineCost>): void {
    const { bound } = waiter;
    if (!(bound instanceof AskedRequest)) throw new TypeError("a request that is not of this line");
    const candidates = admitted(this.#pool.candidatesFor(bound.model), bound.request.only);
    const choice = this.#choose(bound, this.#withRoom(candidates), candidates);
    if (isFailure(choice)) return waiter.refuse(choice);
    const times: LeaseTimes = { enqueuedAt: waiter.enqueuedAt, grantedAt: this.#clock.now() };
    const lease = new GrantedLease(this.#leases, bound, choice[0], times);
    const { request, model } = bound;
    const charged = waiter.predictedTokens;
    lease.flow = this.#pool.gate?.granted({ model, request, endpoint: choice[0], charged });
    lease.endpoints = choice;
    waiter.grant(lease);
  }

  /**
   * The profiles' choice among endpoints with room. Where their filters leave none of these, the best of all: it waits in
   * the server, up to a bound.
   */
  #choose(asked: AskedRequest, open: Endpoints, candidates: Endpoints): Choice | Failure {
    const choice = this.#run(asked, open);
    if (!isFailure(choice) || choice.code !== "saturated" || open.length === candidates.length) return choice;
    const among = candidates.filter(
      ({ state, load, capacity }) => state === "ready" && load.requests < overflow * capacity,
    );
    return among.length === 0 ? choice : this.#run(asked, among);
  }

  #run(asked: AskedRequest, endpoints: Endpoints): Choice | Failure {
    asked.endpoints = endpoints;
    const result = this.#engine.run(asked, endpoints);
    if (isFailure(result)) return result;
    // The engine chooses by position among these very objects, and at least one of them.
    return result.endpoints as Choice;
  }

  #best(asked: AskedRequest, endpoints: Endpoints): HttpEndpoint | undefined {
    const open = endpoints.filter(({ inFlight, capacity }) => inFlight < capacity);
    const choice = this.#run(asked, open.length > 0 ? open : endpoints);
    if (!isFailure(choice)) return choice[0];
    if (open.length === 0 || open.length === endpoints.length) return undefined;
    const among = this.#run(asked, endpoints);
    return isFailure(among) ? undefined : among[0];
  }

  /** Why the request may not even wait. Flow control is asked once for each. */
  #refusal(asked: AskedRequest): Failure | undefined {
    if (asked.isAdmitted) return undefined;
    asked.isAdmitted = true;
    const { request, model } = asked;
    const { only } = request;
    if (only !== undefined && admitted(this.#pool.endpointsFor(model), only).length === 0) {
      return noneAdmitted();
    }
    return this.#pool.gate?.refuse(model, request);
  }

  /** Why waiting would be in vain while there is no endpoint for the model. */
  #refusalWithout(model: string): Failure | undefined {
    return this.#pool.gate?.waitsForEndpoints === true ? undefined : this.#pool.refusalFor(model);
  }

  #mayGo(shapeKey: string, priority: number): boolean {
    const shape = readShape(shapeKey);
    return this.#hasRoom(shape) && this.#pool.gate?.mayDispatch(shape.model, priority) !== false;
  }

  /** Whether the server with room, where others are full, is the one that the request would go to if all had room. */
  #suitsRoom({ bound }: Waiter<ForwardPayload, LineCost>): boolean {
    if (!(bound instanceof AskedRequest)) return true;
    const now = this.#clock.now();
    if (now >= bound.preferredUntil) {
      const candidates = admitted(this.#pool.candidatesFor(bound.model), bound.request.only);
      if (this.#withRoom(candidates) === candidates) return true;
      bound.endpoints = candidates;
      // The engine chooses among these very objects.
      bound.preferred = this.#engine.preview(bound, candidates) as HttpEndpoint | undefined;
      bound.preferredUntil = now + preferenceMs;
    }
    const { preferred } = bound;
    return preferred === undefined || preferred.inFlight < preferred.capacity;
  }

  #hasRoom({ model, only }: WaitingShape): boolean {
    for (const { inFlight, capacity } of admitted(this.#pool.candidatesFor(model), only))
      if (inFlight < capacity) return true;
    return false;
  }

  /** The candidates themselves where all have room: nothing is gathered for most requests. */
  #withRoom(candidates: Endpoints): Endpoints {
    let full = 0;
    for (const { inFlight, capacity } of candidates) if (inFlight >= capacity) full++;
    if (full === 0) return candidates;
    this.#open.length = 0;
    for (const endpoint of candidates) if (endpoint.inFlight < endpoint.capacity) this.#open.push(endpoint);
    return this.#open;
  }

  #asked(request: Request, model: string): AskedRequest {
    const last = this.#last;
    if (last !== undefined && last.request === request && last.model === model) return last;
    return (this.#last = new AskedRequest(request, model, this.#engine.wired));
  }

  /** The request of a decision: of this pool's lease, or made anew where the lease is another's. */
  #askedAgain(model: string, { lease, request }: ForwardDecision): AskedRequest {
    const { scheduled } = lease;
    const isOurs = scheduled instanceof AskedRequest && scheduled.wired === this.#engine.wired;
    return isOurs && scheduled.model === model
      ? scheduled
      : new AskedRequest(request, model, this.#engine.wired);
  }

  #prepare(asked: AskedRequest): Promise<void> | undefined {
    asked.isPrepared = true;
    asked.preparing = this.#engine.prepare(asked);
    return asked.preparing;
  }

  #forget(endpoint: SchedulableEndpoint): void {
    for (const { plugin, name } of this.#engine.wired.observers) {
      try {
        plugin.forgotten?.(endpoint);
      } catch (error) {
        this.#leases.onFault(name, error);
      }
    }
  }
}

/** The endpoint that asked to be left alone for the shortest time; undefined where none did. */
function soonest(endpoints: Endpoints): HttpEndpoint | undefined {
  let found: HttpEndpoint | undefined;
  for (const endpoint of endpoints) {
    const { pausedUntil } = endpoint;
    if (pausedUntil !== undefined && pausedUntil < (found?.pausedUntil ?? Infinity)) found = endpoint;
  }
  return found;
}
