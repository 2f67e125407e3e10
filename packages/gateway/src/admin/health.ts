/** Health of the gateway, for people, load balancers and orchestrators. */
import type { ModelCatalog } from "../contracts/models.ts";
import { writePlainFailure } from "../contracts/plain-failure.ts";
import { wireAnswer, type Route } from "../contracts/route.ts";
import type { Clock } from "../core/clock.ts";
import type { WireAnswer } from "../core/request.ts";

/** What the routes read. */
export interface HealthDeps {
  readonly catalog: ModelCatalog;
  readonly clock: Clock;
  readonly version: string;
  /** True once the gateway shuts down. */
  readonly draining: () => boolean;
  /** Why the edge endpoint can keep nothing; undefined where it can, or where there is none. */
  readonly storageProblem: () => string | undefined;
}

/** Never kept by anybody on the way: it is true for this moment only. */
function json(status: number, value: object): WireAnswer {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  return wireAnswer(status, "application/json", [body], [["cache-control", "no-store"]]);
}

/**
 * `/health` for people, with what is wrong though the gateway answers, `/health/live` and `/ping` while the process answers, `/health/ready` once
 * every model has come up or failed, until a shutdown begins.
 */
export function createHealthRoutes(deps: HealthDeps): Route[] {
  const startedAt = deps.clock.now();
  const route = (path: string, handle: () => WireAnswer): Route => {
    return { method: "GET", path, scope: "open", body: "none", writeFailure: writePlainFailure, handle };
  };
  return [
    route("/health", () => {
      const state = stateOf(deps);
      const models = deps.catalog.list();
      const storage = deps.storageProblem();
      return json(state === "ready" ? 200 : 503, {
        name: "spillway",
        status: state,
        version: deps.version,
        uptime_seconds: Math.round((deps.clock.now() - startedAt) / 1_000),
        models: { ready: models.filter((model) => model.state === "READY").length, total: models.length },
        ...(storage !== undefined && { storage }),
      });
    }),
    route("/health/live", () => json(200, { status: "live" })),
    route("/health/ready", () => {
      const state = stateOf(deps);
      return json(state === "ready" ? 200 : 503, { status: state });
    }),
    route("/ping", () => json(200, { status: "live" })),
  ];
}

function stateOf(deps: HealthDeps): "ready" | "starting" | "draining" {
  if (deps.draining()) return "draining";
  return deps.catalog.ready() ? "ready" : "starting";
}
