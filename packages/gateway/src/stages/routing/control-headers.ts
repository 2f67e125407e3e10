/**
 * Headers by which a request says something of itself beside its body: those of the Gateway API Inference Extension's
 * endpoint picker and of llm-d's router, with their older names where they have such. None of them goes to a server.
 */
import { headerValue, type HeaderMap } from "../../core/headers.ts";

/** Names, in lower case. */
export const controlHeaders = {
  fairnessId: ["x-llm-d-inference-fairness-id", "x-gateway-inference-fairness-id"],
  objective: ["x-llm-d-inference-objective", "x-gateway-inference-objective"],
  model: ["x-llm-d-model-name-rewrite", "x-gateway-model-name-rewrite"],
  ttftSlo: ["x-llm-d-slo-ttft-ms", "x-slo-ttft-ms"],
  tpotSlo: ["x-llm-d-slo-tpot-ms", "x-slo-tpot-ms"],
  ttl: ["x-llm-d-inference-ttl", "x-llm-d-inference-ttl"],
} as const satisfies Record<string, readonly [name: string, alias: string]>;

/** Longest name that is taken from a header, characters; of a longer one the beginning counts. */
const maxNameLength = 256;

/** A name from one of two headers; undefined where neither is there, or empty. */
export function controlName(
  headers: HeaderMap,
  names: readonly [name: string, alias: string],
): string | undefined {
  const value = headers[names[0]] ?? headers[names[1]];
  if (value === undefined) return undefined;
  const text = (typeof value === "string" ? value : (value[0] ?? "")).trim();
  return text === "" ? undefined : text.slice(0, maxNameLength);
}

/** Milliseconds above 0; undefined where neither header says a number. */
export function controlMs(headers: HeaderMap, names: readonly [string, string]): number | undefined {
  const text = controlName(headers, names);
  const value = text === undefined ? Number.NaN : Number(text);
  return Number.isFinite(value) && value > 0 ? value : undefined;
}

/** The value of a cookie; undefined without it. */
export function cookieValue(headers: HeaderMap, name: string): string | undefined {
  const line = headerValue(headers, "cookie");
  if (line === undefined) return undefined;
  for (const part of line.split(";")) {
    const equals = part.indexOf("=");
    if (equals < 0 || part.slice(0, equals).trim() !== name) continue;
    const value = part
      .slice(equals + 1)
      .trim()
      .replace(/^"([^"]*)"$/, "$1");
    return value === "" ? undefined : value.slice(0, maxNameLength);
  }
  return undefined;
}
