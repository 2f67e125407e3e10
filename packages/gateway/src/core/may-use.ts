/** Which models a caller's key is bound to. */
import { failure, type Failure } from "./errors.ts";
import { withTag } from "./model-name.ts";
import type { Caller } from "./request.ts";

/**
 * True where the caller is not bound to models, or to this one. `name` and `name:latest` count as one, so that a key
 * for `llama3` does not depend on whether a client or a server writes the tag.
 */
export function mayUse({ models }: Pick<Caller, "models">, model: string): boolean {
  if (models === undefined) return true;
  const tagged = withTag(model);
  return models.some((each) => {
    if (!each.endsWith("*")) return each === model || withTag(each) === tagged;
    const beginning = each.slice(0, -1);
    return model.startsWith(beginning) || tagged.startsWith(beginning);
  });
}

/** The refusal, counted, where the caller may not use the model, whether or not there is such a model. */
export function refuseForeign(caller: Caller, model: string): Failure | undefined {
  if (mayUse(caller, model)) return undefined;
  caller.meter?.forbidden("model");
  return failure("forbidden", `The key ${caller.id} may not use the model ${model.slice(0, 200)}`);
}
