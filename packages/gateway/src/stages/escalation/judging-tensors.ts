/** A payload with tensors whose answer is judged: how sure the model is of its class. */
import type { EscalateWhen } from "../../contracts/escalation.ts";
import type { Failure } from "../../core/errors.ts";
import type { ServedModel } from "../../core/model.ts";
import type { PoolEscalationReason } from "../../core/pool-escalation.ts";
import type { BoundTensors, TensorAnswer, TensorPayload, WireAnswer } from "../../core/request.ts";
import { isFailure } from "../../core/errors.ts";
import { classifyRows } from "../../dialects/tensors/classify.ts";

/** Bytes of an answer that is looked into; a larger one names no class. */
const maxAnswerBytes = 65_536;

/** Wraps a payload and is one. */
export class JudgingTensors implements TensorPayload {
  readonly kind = "tensors";
  readonly #payload: TensorPayload;
  readonly #when: EscalateWhen;
  #rows = 1;
  /** Why the answer is not good enough; undefined: it is, or it names no class. */
  verdict: PoolEscalationReason | undefined;

  constructor(payload: TensorPayload, when: EscalateWhen) {
    this.#payload = payload;
    this.#when = when;
  }

  bind(model: ServedModel): BoundTensors | Failure {
    const bound = this.#payload.bind(model);
    if (!isFailure(bound)) this.#rows = bound.rows;
    return bound;
  }

  write(answer: TensorAnswer): WireAnswer | Failure | Promise<WireAnswer | Failure> {
    this.verdict = this.#judge(answer);
    return this.#payload.write(answer);
  }

  /** The least sure row decides. */
  #judge(answer: TensorAnswer): PoolEscalationReason | undefined {
    const { confidence, margin } = this.#when;
    if (confidence === undefined && margin === undefined) return undefined;
    const bytes = answer.outputs.reduce((sum, { data }) => sum + data.length, 0);
    const rows = bytes > maxAnswerBytes ? undefined : classifyRows(answer, this.#rows);
    if (!Array.isArray(rows)) return undefined;
    if (rows.some((row) => row.confidence < (confidence ?? 0))) return "confidence";
    return rows.some(({ scores }) => marginOf(scores) < (margin ?? 0)) ? "margin" : undefined;
  }
}

/** Distance between the two highest of the scores; one score is the probability of one class of two. 1 without scores. */
function marginOf(scores: readonly number[] | undefined): number {
  if (scores === undefined) return 1;
  const [first = 1, second = scores.length === 1 ? 1 - first : 0] = scores.toSorted((a, b) => b - a);
  return Math.abs(first - second);
}
