/** Messages of external processing: `envoy.service.ext_proc.v3`, as the package's other messages. */
export { envoy } from "./gen/ext-proc.js";
