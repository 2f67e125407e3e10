/** `/metrics` for Prometheus. */
import { wireAnswer, type Route } from "../contracts/route.ts";
import type { Metrics } from "../contracts/telemetry.ts";
import { plainJsonFailure } from "./plain-failure.ts";

/** The text exposition format 0.0.4. */
export function createMetricsRoute(metrics: Metrics, contentType: string): Route {
  return {
    method: "GET",
    path: "/metrics",
    scope: "status",
    body: "none",
    writeFailure: plainJsonFailure,
    handle: () => wireAnswer(200, contentType, [Buffer.from(metrics.render())]),
  };
}
