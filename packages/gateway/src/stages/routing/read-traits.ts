/** What a request says of itself, read from its headers once; and who is believed. */
import type { TraitsOptions } from "../../contracts/options.ts";
import { parseGoDuration } from "../../core/go-duration.ts";
import type { HeaderMap } from "../../core/headers.ts";
import { defaultFlow, plainTraits, type RequestTraits } from "../../core/request-traits.ts";
import type { Caller, InferenceRequest } from "../../core/request.ts";
import { controlHeaders, controlMs, controlName, cookieValue } from "./control-headers.ts";

/** Sets what headers say on a request: traits, priority, an earlier deadline. */
export type TraitsReader = (request: InferenceRequest) => void;

/** Flows of callers that are kept made; there are as many as keys. */
const maxKnownCallers = 16_384;

/** Makes the reader. A request that says nothing gets no traits, and nothing is made for it. */
export function createTraitsReader(options: TraitsOptions): TraitsReader {
  const flows = new Map<string, RequestTraits>();
  const ownFlow = (caller: Caller): RequestTraits | undefined => {
    if (options.fairness === "header" || caller.id === "anonymous") return undefined;
    const known = flows.get(caller.id);
    if (known !== undefined) return known;
    if (flows.size >= maxKnownCallers) flows.clear();
    const made = { ...plainTraits, fairnessId: caller.id };
    flows.set(caller.id, made);
    return made;
  };
  return (request) => {
    const { headers, caller } = request;
    const own = ownFlow(caller);
    const said = headers === undefined ? undefined : readWords(options, headers);
    if (said === undefined) {
      if (own !== undefined) request.traits = own;
      return;
    }
    const isTrusted = isTrustedCaller(options, caller);
    const { fairnessId, objective, ttlMs, ...others } = said;
    const priority = objective === undefined ? undefined : options.objectives.get(objective);
    const mayHave = priority !== undefined && (isTrusted || priority <= 0);
    if (mayHave) request.priority = priority;
    if (ttlMs !== undefined) request.deadline = Math.min(request.deadline, request.receivedAt + ttlMs);
    const flow = own?.fairnessId ?? defaultFlow;
    request.traits = {
      fairnessId: isTrusted ? (fairnessId ?? flow) : flow,
      objective: mayHave ? objective : undefined,
      ...others,
    };
  };
}

/** Callers that may say whose request it is and how urgent: this machine without keys, operators, and who is listed. */
function isTrustedCaller({ trust }: TraitsOptions, { id, scopes }: Caller): boolean {
  return trust === "everyone" || scopes.includes("admin") || trust.has(id);
}

interface Words extends Omit<RequestTraits, "fairnessId"> {
  readonly fairnessId: string | undefined;
  readonly ttlMs: number | undefined;
}

/** What most requests come to: names are written out, since look-ups by a list cost five times as much. */
function hasNoControl(headers: HeaderMap): boolean {
  return (
    headers["x-llm-d-inference-fairness-id"] === undefined &&
    headers["x-gateway-inference-fairness-id"] === undefined &&
    headers["x-llm-d-inference-objective"] === undefined &&
    headers["x-gateway-inference-objective"] === undefined &&
    headers["x-llm-d-slo-ttft-ms"] === undefined &&
    headers["x-slo-ttft-ms"] === undefined &&
    headers["x-llm-d-slo-tpot-ms"] === undefined &&
    headers["x-slo-tpot-ms"] === undefined &&
    headers["x-llm-d-inference-ttl"] === undefined
  );
}

function hasNoSession({ session }: TraitsOptions, headers: HeaderMap): boolean {
  for (let i = 0; i < session.headers.length; i++) {
    if (headers[session.headers[i] ?? ""] !== undefined) return false;
  }
  return session.cookie === undefined || headers["cookie"] === undefined;
}

/** Undefined where no header says anything. What cannot be read says nothing. */
function readWords(options: TraitsOptions, headers: HeaderMap): Words | undefined {
  if (hasNoControl(headers) && hasNoSession(options, headers)) return undefined;
  const fairnessId = controlName(headers, controlHeaders.fairnessId);
  const objective = controlName(headers, controlHeaders.objective);
  const ttftSloMs = controlMs(headers, controlHeaders.ttftSlo);
  const tpotSloMs = controlMs(headers, controlHeaders.tpotSlo);
  const ttl = controlName(headers, controlHeaders.ttl);
  const sessionId = readSession(options, headers);
  if (
    fairnessId === undefined &&
    objective === undefined &&
    ttftSloMs === undefined &&
    tpotSloMs === undefined &&
    ttl === undefined &&
    sessionId === undefined
  ) {
    return undefined;
  }
  const ms = ttl === undefined ? undefined : parseGoDuration(ttl);
  const ttlMs = ms !== undefined && ms > 0 ? ms : undefined;
  return { fairnessId, objective, ttftSloMs, tpotSloMs, sessionId, ttlMs };
}

function readSession({ session }: TraitsOptions, headers: HeaderMap): string | undefined {
  for (const name of session.headers) {
    const value = controlName(headers, [name, name]);
    if (value !== undefined) return value;
  }
  return session.cookie === undefined ? undefined : cookieValue(headers, session.cookie);
}
