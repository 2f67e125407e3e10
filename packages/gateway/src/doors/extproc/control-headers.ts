/** Headers by which gateways and pickers speak to each other. What a client sends under such a name goes to no server. */
import type { HeaderMap } from "../../core/headers.ts";
import { connectionHeaders } from "../../core/connection-headers.ts";

/** Names in lower case. Some name addresses that a server's sidecar would call. */
const controlHeaders: ReadonlySet<string> = new Set([
  "x-gateway-destination-endpoint-subset",
  "x-gateway-destination-endpoint-served",
  "x-gateway-destination-endpoint-scores",
  "x-llm-d-inference-fairness-id",
  "x-gateway-inference-fairness-id",
  "x-llm-d-inference-objective",
  "x-gateway-inference-objective",
  "x-llm-d-model-name-rewrite",
  "x-gateway-model-name-rewrite",
  "x-llm-d-slo-ttft-ms",
  "x-slo-ttft-ms",
  "x-llm-d-slo-tpot-ms",
  "x-slo-tpot-ms",
  "x-llm-d-inference-ttl",
  "x-llm-d-video-fps",
  "x-llm-d-video-duration-seconds",
  "x-llm-d-video-resolution",
  "x-llm-d-request-dropped-reason",
  "x-prefiller-host-port",
  "x-encoder-hosts-ports",
  "x-data-parallel-host-port",
  "x-kv-cache-source-host-port",
]);

const none: readonly string[] = [];

/** Which of the headers are to be taken out of a request. The destination is not among them: it is set anew. */
export function headersToRemove(headers: HeaderMap, also: string | undefined): readonly string[] {
  let found: string[] | undefined;
  for (const name in headers) {
    if (name !== also && !controlHeaders.has(name)) continue;
    found ??= [];
    found.push(name);
  }
  return found ?? none;
}

/** True for a header that speaks of one connection, or frames a message: such are never set. */
export function isFraming(name: string): boolean {
  return name === "content-length" || connectionHeaders.has(name);
}
