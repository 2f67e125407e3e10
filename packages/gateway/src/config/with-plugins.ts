/** What reads of plugins, in a `spillway.yaml` and in files of pickers. Importing it loads every plugin there is. */
export { createRegistry, loadDefinitions } from "./config-plugins.ts";
export { loadEndpointPicker, parseEndpointPicker } from "./endpoint-picker/load-endpoint-picker.ts";
export { parseConfig } from "./read-config.ts";
export type { EndpointPicker, EndpointPickerResult } from "./endpoint-picker/load-endpoint-picker.ts";
