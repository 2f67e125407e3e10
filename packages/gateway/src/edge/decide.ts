/**
 * Who answers an image query, and what goes to the cloud: pure rules, in Groundlight's order (edge-endpoint 0.7.1) with these
 * differences: `enabled: false` holds; a local model that fails or is too slow gives way to the cloud; an answer given here is
 * preferred to any error; audits and escalations have budgets; without a cloud everything is answered here.
 */
import type { EdgePolicy } from "../contracts/edge-options.ts";
import type { EscalationReason, HumanReview, WithheldReason } from "../core/detector.ts";

/** What came of the local model. */
export type LocalOutcome =
  /** Its confidence is what decides: after out-of-domain detection and calibration. */
  | { readonly kind: "answer"; readonly confidence: number }
  /** `none`: there is no model, or it is not ready. `not_asked`: the policy forbids it. `bad_picture`: nobody can read it. */
  | { readonly kind: "none" | "failed" | "timeout" | "bad_picture" | "not_asked" };

/** Which policy flags decide. */
export type PolicyFlags = Pick<
  EdgePolicy,
  "enabled" | "alwaysReturnEdgePrediction" | "disableCloudEscalation"
>;

/** What is known before the local model is asked. */
export interface EarlySituation {
  readonly policy: PolicyFlags;
  readonly humanReview: HumanReview;
  /** `unreachable`: by the last calls that were made. */
  readonly cloud: "none" | "reachable" | "unreachable";
}

/** What is known after it. */
export interface Situation extends EarlySituation {
  readonly local: LocalOutcome;
  /** In force for this query, 0 to 1. */
  readonly threshold: number;
  /** Nobody waits for the answer. */
  readonly wantAsync: boolean;
  /** The pause since the last escalation behind an answer is over. */
  readonly cooledDown: boolean;
  /** The budgets have room for one more. */
  readonly withinBudget: boolean;
  /** This query is one of the sample of sure answers. */
  readonly drawnForAudit: boolean;
}

/**
 * Why a query is refused.
 * - `review_of_edge_answers`: a person is demanded and the policy demands the edge's answer.
 * - `review_without_cloud`: a person is demanded and nothing goes to a cloud.
 * - `edge_answer_required`: the policy demands the edge's answer and no model is there.
 * - `local`: the local model's own failure: nobody else may be asked.
 * - `budget`: nobody here can answer and the budget for the cloud is used up.
 */
export type Refusal =
  | "review_of_edge_answers"
  | "review_without_cloud"
  | "edge_answer_required"
  | "local"
  | "budget";

/** What is done. */
export type Verdict =
  /** The local answer is given. `queue`: and goes to the cloud behind it. `done`: no better answer will come. */
  | {
      readonly kind: "answer";
      readonly queue: EscalationReason | undefined;
      readonly done: boolean;
      readonly withheld: WithheldReason | undefined;
    }
  /** The cloud is asked and the caller waits. */
  | { readonly kind: "ask"; readonly reason: EscalationReason }
  /** Without an answer so far it goes to the cloud, and nobody waits. */
  | { readonly kind: "queue"; readonly reason: EscalationReason }
  | { readonly kind: "refuse"; readonly why: Refusal };

/** What needs no local model to be refused. */
export function refuseEarly({ policy, humanReview, cloud }: EarlySituation): Refusal | undefined {
  if (humanReview !== "ALWAYS") return undefined;
  if (policy.enabled && policy.alwaysReturnEdgePrediction) return "review_of_edge_answers";
  return cloud === "none" || policy.disableCloudEscalation ? "review_without_cloud" : undefined;
}

/** The rules. */
export function decide(situation: Situation): Verdict {
  const refusal = refuseEarly(situation);
  if (refusal !== undefined) return { kind: "refuse", why: refusal };
  const { local } = situation;
  if (local.kind === "bad_picture") return { kind: "refuse", why: "local" };
  return local.kind === "answer" ? withAnswer(situation, local.confidence) : withoutAnswer(situation);
}

function withAnswer(situation: Situation, confidence: number): Verdict {
  const { policy, humanReview, threshold, drawnForAudit, withinBudget } = situation;
  if (humanReview === "ALWAYS") return escalate(situation, "human_review");
  const mayGo = situation.cloud !== "none" && !policy.disableCloudEscalation;
  if (confidence >= threshold) {
    const audit = drawnForAudit && mayGo;
    if (!audit) return given();
    return withinBudget ? { ...given(), queue: "audit" } : given("budget");
  }
  if (policy.disableCloudEscalation) return given();
  if (!mayGo) return given("no_cloud");
  if (!policy.alwaysReturnEdgePrediction) return escalate(situation, "unsure");
  if (!situation.cooledDown) return given("cooldown");
  return withinBudget ? behind("unsure") : given("budget");
}

/** The cloud shall answer; there is an answer of the edge to fall back on. */
function escalate(situation: Situation, reason: EscalationReason): Verdict {
  if (!situation.withinBudget) return given("budget");
  if (situation.cloud === "unreachable") return { ...behind(reason), withheld: "cloud_unreachable" };
  return situation.wantAsync ? behind(reason) : { kind: "ask", reason };
}

function given(withheld?: WithheldReason): Verdict & { readonly kind: "answer" } {
  return { kind: "answer", queue: undefined, done: true, withheld };
}

function behind(queue: EscalationReason): Verdict & { readonly kind: "answer" } {
  return { kind: "answer", queue, done: false, withheld: undefined };
}

function withoutAnswer({ policy, humanReview, local, cloud, withinBudget, wantAsync }: Situation): Verdict {
  if (policy.enabled && policy.alwaysReturnEdgePrediction && local.kind === "none")
    return { kind: "refuse", why: "edge_answer_required" };
  if (cloud === "none" || policy.disableCloudEscalation) return { kind: "refuse", why: "local" };
  if (!withinBudget) return { kind: "refuse", why: "budget" };
  const reason = humanReview === "ALWAYS" ? "human_review" : reasons[local.kind];
  return { kind: wantAsync ? "queue" : "ask", reason };
}

const reasons: Readonly<Record<LocalOutcome["kind"], EscalationReason>> = {
  answer: "unsure",
  none: "no_local_model",
  failed: "local_failure",
  bad_picture: "local_failure",
  timeout: "local_timeout",
  not_asked: "disabled",
};

/** What is done when the cloud was asked and did not answer. */
export type AfterFailure =
  /** The local answer is given; `queue`: the cloud gets the picture later all the same. */
  | { readonly kind: "answer"; readonly queue: boolean; readonly withheld: WithheldReason }
  /** It goes to the cloud later, and the caller has no answer so far. */
  | { readonly kind: "queue" }
  /** The cloud's refusal is the caller's. */
  | { readonly kind: "relay" };

/** The rules after a failed call. `isTemporary`: the same call may succeed later. */
export function decideAfterFailure(failure: {
  readonly hasAnswer: boolean;
  readonly isTemporary: boolean;
  readonly isUnreachable: boolean;
}): AfterFailure {
  const { hasAnswer, isTemporary, isUnreachable } = failure;
  if (!hasAnswer) return { kind: isTemporary ? "queue" : "relay" };
  return {
    kind: "answer",
    queue: isTemporary,
    withheld: isUnreachable ? "cloud_unreachable" : "cloud_failed",
  };
}
