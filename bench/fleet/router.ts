/** Who sends requests to servers: the gateway's own scheduling, or one of the policies it is held against. */
import type { VirtualClock } from "../../packages/simulator/src/clock.ts";
import type { Random } from "../../packages/simulator/src/random.ts";
import type { FleetRequest } from "./fleet-request.ts";
import type { FleetServer } from "./fleet-server.ts";

/** What a router is made from. */
export interface Fleet {
  readonly clock: VirtualClock;
  readonly servers: readonly FleetServer[];
  readonly random: Random;
  /** The request goes no further; no server has seen it. */
  refuse(request: FleetRequest): void;
}

/** Told of everything that a gateway would see. Each request is sent once, by `FleetServer.send`, or refused. */
export interface Router {
  arrive(request: FleetRequest): void;
  firstToken?(request: FleetRequest, server: FleetServer): void;
  ended?(request: FleetRequest, server: FleetServer): void;
  /** A page of metrics is asked for; `scraped` follows when it has been read. */
  scrapeBegins?(server: FleetServer): void;
  scraped?(server: FleetServer): void;
}

/** A way to route, by name. */
export interface RouterKind {
  readonly name: string;
  create(fleet: Fleet): Router;
}

/** A policy that chooses at once, without a line. */
export function pickingRouter(
  name: string,
  create: (fleet: Fleet) => {
    pick(request: FleetRequest): FleetServer;
    sent?(request: FleetRequest, server: FleetServer): void;
  },
): RouterKind {
  return {
    name,
    create(fleet) {
      const policy = create(fleet);
      return {
        arrive(request) {
          const server = policy.pick(request);
          server.send(request);
          policy.sent?.(request, server);
        },
      };
    },
  };
}
