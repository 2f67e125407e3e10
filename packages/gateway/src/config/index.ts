/** Configuration: `spillway.yaml` in, what the engines are told out. */
export { loadConfig } from "./load-config.ts";
export { loadKeys, parseKeys } from "./keys-file.ts";
export { defaultHttpPool } from "./compiled.ts";
export { findSurprises } from "./relations.ts";
export type { CompiledConfig } from "./compiled.ts";
