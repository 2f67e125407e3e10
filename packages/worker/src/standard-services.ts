/** `@spillway/worker/standard-services`: health and reflection, the services that every gRPC server of Spillway answers alike. */
export { healthCheck, healthWatch } from "./service/health.ts";
export type { HealthSource } from "./service/health.ts";
export { serverReflection } from "./service/reflection.ts";
