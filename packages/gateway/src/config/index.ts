/** Configuration: `spillway.yaml` in, what the engines are told out. */
export { loadConfig, parseConfig } from "./load-config.ts";
export { builtinModels, findRepository } from "./builtin.ts";
export { findSurprises, isLoopback } from "./relations.ts";
export { configSchema } from "./schema.ts";
export { expectedOf, schemaAt } from "./problems.ts";
export { parseDuration, parseSize } from "./units.ts";
export type { CompiledConfig, LogOptions } from "./compiled.ts";
export type { ConfigResult, LoadOptions, ParseOptions } from "./load-config.ts";
export type { DefaultedConfig, RawConfig } from "./schema.ts";
