/** Telemetry: the implementations behind the ports of contracts/telemetry.ts. */
export { createLogger } from "./logger.ts";
export { createMetrics } from "./metrics.ts";
export { exposeProcess } from "./process-metrics.ts";
export { expositionContentType } from "./exposition.ts";
export { RecentRequests } from "./recent-requests.ts";
export type { LoggerOptions } from "./logger.ts";
export type { FamilyDescription, MetricRegistry, MetricsOptions } from "./metrics.ts";
export type { ProcessMetricsOptions } from "./process-metrics.ts";
