/** What happens at the edge endpoint, told to whoever counts it. Calls are synchronous, cheap and never throw. */
import type { EscalationReason, Finding, WithheldReason } from "../core/detector.ts";
import type { ErrorCode } from "../core/errors.ts";

/** One image query after its answer. */
export interface QueryObservation {
  readonly queryId: string;
  readonly detectorId: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  /** `later`: an answer that was asked for asynchronously. `none`: the caller got an error. */
  readonly answeredBy: "edge" | "cloud" | "later" | "none";
  /** The error's code where there was one, also of a local failure that the cloud's answer hid. */
  readonly failure: ErrorCode | undefined;
  /** What the local model said; undefined where it was not asked or failed. */
  readonly local:
    | {
        readonly finding: Finding;
        readonly confidence: number;
        readonly model: { readonly name: string; readonly version: string };
        /** From asking to answer, ms. */
        readonly latencyMs: number;
      }
    | undefined;
  /** In force for this query. */
  readonly threshold: number;
  /** Why it went or goes to the cloud; undefined: it does not. */
  readonly escalation: { readonly reason: EscalationReason; readonly how: "asked" | "queued" } | undefined;
  /** Why it did not go although it should have, or had to wait. */
  readonly withheld: WithheldReason | undefined;
  /** From its receipt to its answer, ms. */
  readonly latencyMs: number;
}

/** An answer of the cloud to something that was answered here as well, or a label of a person. */
export interface AgreementObservation {
  readonly queryId: string;
  readonly detectorId: string;
  readonly at: number;
  /** `audit`: of a random sample of sure answers. `escalation`: of unsure ones. `label`: given by a person. */
  readonly kind: "audit" | "escalation" | "label";
  /** Of an escalation: why the cloud was asked. */
  readonly reason?: EscalationReason;
  readonly edge: {
    readonly finding: Finding;
    readonly rawConfidence: number;
    readonly confidence: number;
    readonly model: { readonly name: string; readonly version: string };
  };
  readonly cloud: { readonly finding: Finding; readonly confidence: number | null };
  readonly agreed: boolean;
}

/** What became of something sent from the outbox. */
export interface DeliveryObservation {
  readonly detectorId: string;
  readonly kind: "query" | "label";
  readonly at: number;
  readonly outcome: "sent" | "postponed" | "rejected";
  /** Kind of the cloud's failure; undefined when sent. */
  readonly failure: string | undefined;
}

/** Counts what happens. */
export interface EdgeObserver {
  answered(observation: QueryObservation): void;
  compared(observation: AgreementObservation): void;
  delivered(observation: DeliveryObservation): void;
}
