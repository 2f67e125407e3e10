/** Which model a prediction goes to. */
import type { PredictOptions } from "../../contracts/options.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { PlainInput } from "../tensors/plain-inputs.ts";

/** The named model, or the configured default for that kind of input. Pictures have no default. */
export function modelFor(
  named: string | undefined,
  kind: PlainInput["kind"],
  options: PredictOptions,
): string | Failure {
  const defaults = { features: options.featuresModel, prompt: options.promptModel, image: undefined };
  const model = named ?? defaults[kind];
  return (
    model ?? failure("bad_request", `"model_name" is missing, and there is no default model for ${kind}`)
  );
}
