/** What requests with tensors take along on a model that escalates. */
import type { ModelDecision } from "../../contracts/endpoint.ts";
import type { EscalationStory, ModelEscalationRule } from "../../contracts/escalation.ts";
import type { Clock } from "../../core/clock.ts";
import type { Failure } from "../../core/errors.ts";
import type { InferenceRequest, TensorPayload } from "../../core/request.ts";
import type { EscalationBudget } from "./escalation-budget.ts";
import type { CountEscalation } from "./escalation-metrics.ts";
import type { JudgingTensors } from "./judging-tensors.ts";

type Request = InferenceRequest<TensorPayload>;
type Decide = (request: Request) => Failure | Promise<ModelDecision | Failure>;

/** What all requests share. */
export interface ModelContext {
  readonly clock: Clock;
  /** Routes, binds and waits, for one model. */
  readonly decide: Decide;
  readonly budgetOf: (rule: ModelEscalationRule) => EscalationBudget;
  readonly count: CountEscalation;
}

/** What one request takes along from its decision to its answer. */
export interface ModelTicket {
  readonly rule: ModelEscalationRule;
  readonly story: EscalationStory;
  /** As it was asked. */
  readonly request: Request;
  readonly judge: JudgingTensors;
  /** The decision is for the other model. */
  readonly isElsewhere: boolean;
}

/** The same question for the other model. */
export function otherRequest(request: Request, { to }: ModelEscalationRule): Request {
  return { ...request, model: to };
}
