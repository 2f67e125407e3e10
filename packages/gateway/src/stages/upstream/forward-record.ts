/** What is known of a forwarded request once it has ended. */
import type { ForwardRoute } from "../../contracts/http-endpoint.ts";
import type { ForwardPayload, TokenUsage } from "../../core/forward.ts";
import type { Outcome } from "../../core/outcome.ts";
import type { InferenceRequest } from "../../core/request.ts";

/** One request, for logs and accounts. */
export interface ForwardRecord {
  readonly request: InferenceRequest<ForwardPayload>;
  readonly route: ForwardRoute;
  /** Id of the endpoint that answered, or was asked last. */
  readonly endpoint: string;
  readonly outcome: Outcome;
  readonly attempts: number;
  readonly queueMs: number;
  /** From the first attempt to the end. */
  readonly durationMs: number;
  /** Of the attempt that answered. */
  readonly firstTokenMs: number | undefined;
  readonly usage: TokenUsage | undefined;
}
