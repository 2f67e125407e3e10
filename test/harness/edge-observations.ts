/** Observations of the edge endpoint for tests: plausible, with what matters given. */
import type {
  AgreementObservation,
  QueryObservation,
} from "../../packages/gateway/src/contracts/edge-observer.ts";

/** A local answer of YES. */
export function localAnswer(
  confidence: number,
  given: Partial<NonNullable<QueryObservation["local"]>> = {},
): NonNullable<QueryObservation["local"]> {
  return {
    finding: { mode: "BINARY", label: "YES" },
    confidence,
    model: { name: "seated", version: "3" },
    latencyMs: 11,
    ...given,
  };
}

/** An image query that the edge answered, sure of it. */
export function queryObservation(
  given: Partial<QueryObservation> & { readonly queryId: string; readonly at: number },
): QueryObservation {
  return {
    detectorId: "det_a",
    answeredBy: "edge",
    failure: undefined,
    local: localAnswer(0.97),
    threshold: 0.9,
    escalation: undefined,
    withheld: undefined,
    latencyMs: 14,
    ...given,
  };
}

/** An answer of the cloud to an audit. */
export function agreementObservation(
  given: Partial<AgreementObservation> & { readonly queryId: string; readonly at: number },
): AgreementObservation {
  const finding = { mode: "BINARY", label: "YES" } as const;
  const model = { name: "seated", version: "3" };
  return {
    detectorId: "det_a",
    kind: "audit",
    edge: { finding, rawConfidence: 0.97, confidence: 0.97, model },
    cloud: { finding, confidence: 0.99 },
    agreed: true,
    ...given,
  };
}
