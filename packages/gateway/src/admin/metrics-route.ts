/** `/metrics` for Prometheus. */
import { writePlainFailure } from "../contracts/plain-failure.ts";
import { wireAnswer, type Route } from "../contracts/route.ts";
import type { Metrics } from "../contracts/telemetry.ts";

/** The text exposition format 0.0.4. */
export function createMetricsRoute(metrics: Metrics, contentType: string): Route {
  return {
    method: "GET",
    path: "/metrics",
    scope: "status",
    body: "none",
    writeFailure: writePlainFailure,
    handle: () => wireAnswer(200, contentType, [Buffer.from(metrics.render())]),
  };
}
