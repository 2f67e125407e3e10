/** What a request says of itself to flow control and scheduling, beside its body: read from headers once, by routing. */

/** Words of the Endpoint Picker's control headers, and what follows from them. */
export interface RequestTraits {
  /** Whose request it is, for fairness: a tenant. `default-flow` where none is named. */
  readonly fairnessId: string;
  /** Name of the objective that gave the request its priority; undefined: none was named, or it is not known. */
  readonly objective: string | undefined;
  /** Wished time to the first token, ms. */
  readonly ttftSloMs: number | undefined;
  /** Wished time for each further token, ms. */
  readonly tpotSloMs: number | undefined;
  /** The session that the request belongs to, from the header or cookie that is configured for it. */
  readonly sessionId: string | undefined;
}

/** The flow of requests that name none. */
export const defaultFlow = "default-flow";

/** A request that says nothing of itself. */
export const plainTraits: RequestTraits = {
  fairnessId: defaultFlow,
  objective: undefined,
  ttftSloMs: undefined,
  tpotSloMs: undefined,
  sessionId: undefined,
};
