/** The control API: how a test in another process sets faults and reads what happened. */
import type { Face, FaceRoute, World } from "../faces/face.ts";
import type { Exchange } from "./exchange.ts";
import { parseFault } from "./fault.ts";
import type { Fault, FaultPlan } from "./fault.ts";
import type { Listener } from "./listener.ts";
import type { RequestLog } from "./request-log.ts";

/** What the control API shows and sets: the parts of a server. */
export interface ControlTarget {
  readonly face: Face;
  readonly world: World;
  readonly listener: Listener;
  readonly requests: RequestLog;
  readonly faults: FaultPlan;
}

/** Routes under `/simulator/`. They are neither recorded nor struck by faults. */
export function controlRoutes(server: ControlTarget): FaceRoute[] {
  const route = (method: string, path: string, handle: (exchange: Exchange) => void): FaceRoute => ({
    method,
    path,
    handle,
  });
  return [
    route("GET", "/simulator/state", (exchange) => exchange.json(stateOf(server))),
    route("GET", "/simulator/requests", (exchange) => exchange.json(server.requests.all())),
    route("DELETE", "/simulator/requests", (exchange) => {
      server.requests.clear();
      exchange.json({});
    }),
    route("GET", "/simulator/faults", (exchange) => exchange.json(server.faults.list())),
    route("POST", "/simulator/faults", (exchange) => setFaults(server, exchange)),
    route("DELETE", "/simulator/faults", (exchange) => {
      server.faults.clear();
      exchange.json([]);
    }),
  ];
}

/** A list replaces all faults, one object is added. */
function setFaults({ faults }: ControlTarget, exchange: Exchange): void {
  try {
    if (Array.isArray(exchange.body)) {
      const parsed = exchange.body.map((each: unknown): Fault => parseFault(each));
      faults.set(parsed);
    } else faults.add(parseFault(exchange.body));
    exchange.json(faults.list());
  } catch (error) {
    exchange.error({ status: 400, message: error instanceof Error ? error.message : String(error) });
  }
}

/** What goes on in a server. */
export interface SimulatorState {
  readonly face: string;
  /** Requests being answered with content. */
  readonly active: number;
  /** Connections that are open, and all since the start. */
  readonly connections: { readonly open: number; readonly opened: number };
  /** Requests that wait for a model to be loaded. */
  readonly waiting: number;
  readonly host: { readonly loads: number; readonly evictions: number; readonly refused: number };
  readonly models: readonly {
    readonly name: string;
    readonly state: "loading" | "ready";
    readonly users: number;
    readonly running: number;
    readonly waiting: number;
    /** Share of the key-value cache that is in use, 0 to 1. */
    readonly cacheUsage: number;
    readonly counters: Readonly<Record<string, number>>;
  }[];
}

/** A snapshot. */
export function stateOf({ face, world, listener }: ControlTarget): SimulatorState {
  return {
    face: face.name,
    active: world.load.active,
    connections: { open: listener.open, opened: listener.opened },
    waiting: world.host.waiting,
    host: { ...world.host.counters },
    models: world.host.runners().map(({ model, state, users, engine }) => ({
      name: model.name,
      state,
      users,
      running: engine.running,
      waiting: engine.waiting,
      cacheUsage: engine.cache.usage,
      counters: { ...engine.counters },
    })),
  };
}
