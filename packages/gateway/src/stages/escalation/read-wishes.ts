/** What a request's headers say about leaving its place. */
import type { EscalationRule } from "../../contracts/escalation.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { ForwardPayload, Operation } from "../../core/forward.ts";
import { headerValue, type HeaderMap } from "../../core/headers.ts";
import type { InferenceRequest } from "../../core/request.ts";

/** The header by which a caller asks for the other place, or for this one. */
const wishHeader = "x-spillway-escalate";

/** `always`: to the other place. `privacy`, `caller`: never there. `free`: as the route says. */
export type Wish = "free" | "always" | "privacy" | "caller";

/** Calls that another model can answer as well; an embedding of another model is of no use to who compares it. */
const generating: ReadonlySet<Operation> = new Set([
  "chat",
  "completions",
  "responses",
  "messages",
  "generate",
]);

/** False for calls that stay here whatever happens. */
export function canEscalate({ payload }: InferenceRequest<ForwardPayload>): boolean {
  return generating.has(payload.operation);
}

/** Privacy goes before everything else. A failure for a wish that is unknown or not the caller's to have. */
export function readWish(
  { privacy, when }: Pick<EscalationRule, "privacy" | "when">,
  { headers = {}, caller }: Pick<InferenceRequest, "headers" | "caller">,
): Wish | Failure {
  if (isPrivate(privacy, headers)) return "privacy";
  const wish = headerValue(headers, wishHeader)?.trim().toLowerCase();
  switch (wish) {
    case undefined:
    case "auto":
      return "free";
    case "never":
      return "caller";
    case "always":
      if (when.asked || caller.scopes.includes("admin")) return "always";
      return failure("forbidden", `${wishHeader}: always needs the scope admin on this route`);
    default:
      return failure("bad_request", `${wishHeader}: expected never, always or auto`);
  }
}

/** Any of the header's values, whether they come in one line or in several. */
function isPrivate({ header, value }: EscalationRule["privacy"], headers: HeaderMap): boolean {
  const given = headers[header];
  if (given === undefined) return false;
  if (value === undefined) return true;
  const lines = typeof given === "string" ? [given] : given;
  const wanted = value.toLowerCase();
  return lines.some((line) => line.split(",").some((word) => word.trim().toLowerCase() === wanted));
}
