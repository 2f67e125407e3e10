/** Configuration: `spillway.yaml` in, what the engines are told out. */
export { loadConfig, parseConfig } from "./load-config.ts";
export { loadKeys, parseKeys } from "./keys-file.ts";
export { createRegistry, loadDefinitions } from "./config-plugins.ts";
export { defaultHttpPool } from "./compiled.ts";
export { findSurprises } from "./relations.ts";
export { loadEndpointPicker, parseEndpointPicker } from "./endpoint-picker/load-endpoint-picker.ts";
export type { CompiledConfig } from "./compiled.ts";
export type { EndpointPicker, EndpointPickerResult } from "./endpoint-picker/load-endpoint-picker.ts";
