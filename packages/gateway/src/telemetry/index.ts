/** Telemetry: the implementations behind the ports of contracts/telemetry.ts. */
export { createLogger, type LevelledLogger } from "./logger.ts";
export { createMetrics } from "./metrics.ts";
export { exposeProcess } from "./process-metrics.ts";
export { expositionContentType } from "./exposition.ts";
export { RecentRequests } from "./recent-requests.ts";
