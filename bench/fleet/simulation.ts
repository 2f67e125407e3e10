/** A fleet of servers, a router before them and requests that come on a simulated clock. */
import { createVirtualClock } from "../../packages/simulator/src/clock.ts";
import type { VirtualClock } from "../../packages/simulator/src/clock.ts";
import type { EngineOptions } from "../../packages/simulator/src/engine/options.ts";
import { createRandom } from "../../packages/simulator/src/random.ts";
import { FleetRequest } from "./fleet-request.ts";
import type { Ask } from "./fleet-request.ts";
import { FleetServer } from "./fleet-server.ts";
import type { ServerSurroundings } from "./fleet-server.ts";
import type { Router, RouterKind } from "./router.ts";

/** What a simulation is made from. */
export interface SimulationOptions {
  /** One for each server. */
  readonly engines: readonly EngineOptions[];
  readonly surroundings: ServerSurroundings;
  readonly router: RouterKind;
  /** Of the router's random numbers. */
  readonly seed: number;
}

/** A running fleet. `ask` is called by workloads, from timers of `clock`. */
export class Simulation {
  readonly clock: VirtualClock = createVirtualClock();
  readonly servers: readonly FleetServer[];
  /** All there were, in the order in which they came. */
  readonly requests: FleetRequest[] = [];
  /** Requests that have come and not ended. */
  open = 0;
  /** Called when the last open request has ended. */
  onIdle: (() => void) | undefined;
  readonly #router: Router;

  constructor({ engines, surroundings, router, seed }: SimulationOptions) {
    const observer = {
      firstToken: (request: FleetRequest, server: FleetServer) => this.#router.firstToken?.(request, server),
      ended: (request: FleetRequest, server: FleetServer) => {
        this.#router.ended?.(request, server);
        this.#close(request);
      },
      scrapeBegins: (server: FleetServer) => this.#router.scrapeBegins?.(server),
      scraped: (server: FleetServer) => this.#router.scraped?.(server),
    };
    this.servers = engines.map(
      (options, index) => new FleetServer(index, options, this.clock, surroundings, observer),
    );
    this.#router = router.create({
      clock: this.clock,
      servers: this.servers,
      random: createRandom(seed),
      refuse: (request) => {
        request.end = "refused";
        request.endedAt = this.clock.now();
        this.#close(request);
      },
    });
    const apart = surroundings.scrapeIntervalMs / engines.length;
    for (const server of this.servers) server.startScrapes(server.index * apart);
  }

  /** A request comes now. */
  ask(ask: Ask): FleetRequest {
    const request = new FleetRequest(this.requests.length, ask, this.clock.now());
    this.requests.push(request);
    this.open += 1;
    this.#router.arrive(request);
    return request;
  }

  /** Runs until `ms` of the clock. */
  runUntil(ms: number): void {
    this.clock.run(ms);
  }

  /** Runs until nothing is left to happen: all requests have ended, scrapes are stopped. */
  finish(): void {
    const stop = (): void => {
      for (const server of this.servers) server.stop();
    };
    if (this.open === 0) stop();
    this.onIdle = stop;
    this.clock.run();
  }

  #close(request: FleetRequest): void {
    this.open -= 1;
    if (request.ask.onEnd !== undefined && request.end === "finished")
      request.ask.onEnd(request.answer(), request.endedAt);
    if (this.open === 0) this.onIdle?.();
  }
}
