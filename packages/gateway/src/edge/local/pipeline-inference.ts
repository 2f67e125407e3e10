/** Local models asked through the pipeline: worker processes of this gateway, and pools of model servers. */
import type { Pipeline } from "../../contracts/pipeline.ts";
import type { ModelCatalog } from "../../contracts/models.ts";
import type {
  LocalInference,
  LocalModel,
  LocalModelState,
  LocalQuestion,
} from "../../contracts/local-inference.ts";
import type { Clock } from "../../core/clock.ts";
import type { LocalAnswer } from "../../core/detector.ts";
import { isFailure, toFailure, type Failure } from "../../core/errors.ts";
import type { TensorAnswer } from "../../core/request.ts";
import { combineOutOfDomain } from "./out-of-domain.ts";
import { PictureQuestion } from "./picture-question.ts";
import { readLocalAnswer } from "./read-local-answer.ts";

/** What it asks. */
export interface PipelineInferenceParts {
  readonly pipeline: Pipeline;
  readonly catalog: ModelCatalog;
  readonly clock: Clock;
}

/** Makes it. */
export function createPipelineInference(parts: PipelineInferenceParts): LocalInference {
  return {
    state: (model) => stateOf(parts.catalog, model),
    infer: (question) => infer(parts, question),
  };
}

function stateOf(catalog: ModelCatalog, { name, version }: LocalModel): LocalModelState {
  const found = catalog.find(name, version);
  if (isFailure(found)) return { ready: false, reason: found.message, version: undefined };
  if (catalog.isReady(name, version)) return { ready: true, reason: "", version: found.version };
  const status = catalog.list().find((each) => each.name === name && each.version === found.version);
  const reason = status?.reason === undefined || status.reason === "" ? "it is loading" : status.reason;
  return { ready: false, reason, version: found.version };
}

async function infer(parts: PipelineInferenceParts, question: LocalQuestion): Promise<LocalAnswer | Failure> {
  const { detector, model } = question;
  const [primary, oodd] = await ask(parts, question);
  if (isFailure(primary)) return primary;
  try {
    const answer = readLocalAnswer(detector, model.labels, primary);
    if (oodd === undefined || isFailure(answer)) return answer;
    return isFailure(oodd) ? oodd : combineOutOfDomain(answer, detector.mode, oodd);
  } catch (error) {
    return toFailure(error);
  }
}

/** Both models at once, where there are two. The caller's leaving calls both off. */
function ask(
  { pipeline, clock }: PipelineInferenceParts,
  question: LocalQuestion,
): Promise<[TensorAnswer | Failure, TensorAnswer | Failure | undefined]> {
  const { model, cancellation } = question;
  return new Promise((resolve) => {
    let primary: TensorAnswer | Failure | undefined;
    let oodd: TensorAnswer | Failure | undefined;
    let waiting = model.outOfDomain === undefined ? 1 : 2;
    const arrived = (): void => {
      if (--waiting > 0 || primary === undefined) return;
      cancellation.listen(undefined);
      resolve([primary, oodd]);
    };
    const shared = { pipeline, clock, question };
    const first = new PictureQuestion({
      ...shared,
      model,
      done(answer) {
        primary = answer;
        arrived();
      },
    });
    const second =
      model.outOfDomain === undefined
        ? undefined
        : new PictureQuestion({
            ...shared,
            model: { name: model.outOfDomain, version: undefined },
            done(answer) {
              oodd = answer;
              arrived();
            },
          });
    cancellation.listen((reason) => {
      first.cancel(reason);
      second?.cancel(reason);
    });
    first.start();
    second?.start();
  });
}
